/* Editing the better answer: its raw text in a sheet of its own, beside it the words that changed. What is edited is
   kept by side, so that changing the verdict and changing it back loses nothing; only the better side's is sent. */
import { $, ACTS, cfg, el, form, say } from './kit.js';
import { at, touched } from './draft.js';
import { get, quietly } from './server.js';

const sheet = $('#edit'), words = sheet?.dataset || {}, text = $('[data-edit-text]', sheet || document), out = $('[data-edit-diff]', sheet || document), count = $('[data-edit-count]', sheet || document);
let mine = {}, origin = { of: 0, a: '', b: '' }, side = '', timer;
const better = verdict => /^[ab][1-3]$/.test(verdict || '') ? verdict[0] : '';
const chosen = () => better($('[name="verdict"]:checked', form)?.value);
/* A text field has no other line ends than these. */
const unix = t => t.replace(/\r\n?/g, '\n');

export const edits = () => ({ ...mine });
/* What goes out with an answer, and whether something edited would stay behind. */
export const editSent = f => { const s = better(f.verdict); return s && f.edit?.[s] !== undefined ? { side: s, text: f.edit[s] } : null; };
export const strayEdit = f => sheet && Object.keys(f.edit || {}).some(s => s !== better(f.verdict)) ? words.stray : '';
export function setEdits(draft) { mine = { ...draft?.edit }; line(); if (sheet?.open && side) { text.value = mine[side] ?? origin[side]; draw(); } }
export function line() {
  const said = $('[data-edit-said]'); if (!said || !sheet) return;
  const s = chosen(), d = s && mine[s] !== undefined && origin.of === at.item?.assignment ? changes(origin[s], mine[s]) : null;
  said.textContent = d ? summary(d) : s && mine[s] !== undefined ? words.kept : '';
}

/* ---- the words that changed: as few as there can be, after the common beginning and end are set aside ---- */
const LONGEST = 2500, tokens = t => t.match(/\s+|[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]/gu) || [];
export function changes(before, after) {
  const x = tokens(before), y = tokens(after); let from = 0; while (from < x.length && from < y.length && x[from] === y[from]) from += 1;
  let i = x.length, j = y.length; while (i > from && j > from && x[i - 1] === y[j - 1]) { i -= 1; j -= 1; }
  const a = x.slice(from, i), b = y.slice(from, j), out = [['', x.slice(0, from)]]; if (a.length > LONGEST || b.length > LONGEST) return null;
  const w = b.length + 1, t = new Uint16Array((a.length + 1) * w);
  for (let p = a.length - 1; p >= 0; p -= 1) for (let q = b.length - 1; q >= 0; q -= 1) t[p * w + q] = a[p] === b[q] ? t[(p + 1) * w + q + 1] + 1 : Math.max(t[(p + 1) * w + q], t[p * w + q + 1]);
  const add = (kind, one) => { if (out.at(-1)[0] === kind) out.at(-1)[1].push(one); else out.push([kind, [one]]); };
  let p = 0, q = 0;
  while (p < a.length || q < b.length) if (p < a.length && q < b.length && a[p] === b[q]) { add('', a[p]); p += 1; q += 1; } else if (q >= b.length || (p < a.length && t[(p + 1) * w + q] >= t[p * w + q + 1])) add('del', a[p++]); else add('ins', b[q++]);
  x.slice(i).forEach(one => add('', one)); return out;
}
const counted = (d, kind) => d.filter(([k]) => k === kind).flatMap(([, ts]) => ts).filter(t => /[\p{L}\p{N}]/u.test(t)).length;
function summary(d) {
  const more = counted(d, 'ins'), less = counted(d, 'del'); if (!d.some(([k]) => k)) return words.none;
  return more || less ? [more && `+${more}`, less && `−${less}`, words.unit].filter(Boolean).join(' ') : words.onlySigns;
}
function draw() {
  const d = changes(origin[side], text.value);
  out.replaceChildren(...(d ? d.filter(([, ts]) => ts.length).map(([kind, ts]) => kind ? el(kind, { textContent: ts.join('') }) : document.createTextNode(ts.join(''))) : [document.createTextNode(text.value)]));
  count.textContent = d ? summary(d) : words.long; line();
}

async function load() {
  const of = at.item.assignment; if (origin.of === of) return true;
  const answer = await quietly(get(`${cfg.judge}/${of}/raw`)), said = answer.ok ? await answer.json() : null;
  if (!said || of !== at.item.assignment) return false;
  origin = { of, a: unix(said.a.at(-1) || ''), b: unix(said.b.at(-1) || '') }; return true;
}
async function edit() {
  if (!sheet) return; const s = chosen(); if (!s) return say(words.choose);
  if (!await load()) return say(words.failed);
  if (chosen() !== s || sheet.open) return;
  side = s; $('[data-edit-badge]').className = `badge badge--${s}`; $('[data-edit-badge]').textContent = s.toUpperCase(); $('[data-edit-side]').textContent = s.toUpperCase();
  text.value = mine[s] ?? origin[s]; draw(); sheet.showModal(); text.focus(); text.setSelectionRange(0, 0); text.scrollTop = 0;
}
if (sheet) {
  text.addEventListener('input', () => {
    if (text.value === origin[side]) delete mine[side]; else mine[side] = text.value;
    touched(); clearTimeout(timer); timer = setTimeout(draw, 120);
  });
  sheet.addEventListener('close', () => { clearTimeout(timer); draw(); say(mine[side] === undefined ? words.none : words.kept); });
  form.addEventListener('input', e => { if (e.target.name === 'verdict') line(); });
  Object.assign(ACTS, { edit, unedit: () => { delete mine[side]; text.value = origin[side]; touched(); draw(); say(words.undone); text.focus(); } });
}
