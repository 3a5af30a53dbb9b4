/* Reading: folding the prompt, scrolling, sides, the raw text, what cannot be seen, and the words that differ. */
import { $, $$, ACTS, calm, cfg, counted, el, phrase, say, store } from './kit.js';
import { lookAt, paint, places } from './marks.js';
import { leaves, points, rangeOf } from './places.js';
import { echo, get, quietly } from './server.js';

const bodies = { a: places.a, b: places.b };
export function setPrompt(open) { const p = $('.prompt'); p.toggleAttribute('data-folded', !open); $('[data-act="prompt"]').setAttribute('aria-expanded', open); $('[data-prompt-label]').textContent = phrase(open ? 'collapse' : 'expand'); }
export function setEarlier(open) {
  const turns = $$('[data-earlier] > .turn', places.prompt).length, b = $('[data-act="earlier"]');
  b.hidden = !turns; b.setAttribute('aria-expanded', open); places.prompt.toggleAttribute('data-open', open); $('[data-earlier-label]').textContent = counted('earlier_turns', turns);
}
/* ---- scrolling ---- */
let side = 'a', linked = store.get('linked', false), leader = null, rest;
const showLinked = () => $('[data-act="link"]').setAttribute('aria-pressed', linked); showLinked();
Object.entries(bodies).forEach(([s, b]) => b.addEventListener('scroll', () => {
  if (!linked || (leader && leader !== s)) return; leader = s; clearTimeout(rest); rest = setTimeout(() => { leader = null; }, 120);
  const o = bodies[s === 'a' ? 'b' : 'a']; o.scrollTop = b.scrollTop / Math.max(1, b.scrollHeight - b.clientHeight) * (o.scrollHeight - o.clientHeight);
}, { passive: true }));
['focusin', 'pointerdown', 'pointerover'].forEach(t => document.addEventListener(t, e => { const c = e.target.closest?.('.cand'); if (c) { side = c.dataset.side; lookAt(side); } }));
const scrollPane = d => { const b = bodies[side], own = b.scrollHeight > b.clientHeight + 1 && getComputedStyle(b).overflowY === 'auto'; (own ? b : window).scrollBy({ top: d * (own ? b.clientHeight : innerHeight) * .4, behavior: calm() ? 'auto' : 'smooth' }); };

/* ---- looks: each is off again with the next pair ---- */
const on = { turn: false, raw: false, invisible: false, diff: false };
let item = null, turnedOnce = false;
export const wasTurned = () => turnedOnce;

const pressed = () => Object.keys(on).forEach(name => $(`[data-act="${name}"]`)?.setAttribute('aria-pressed', on[name]));
/* A and B change places on the screen and stay A and B. */
function turn() { turnedOnce = true; on.turn = !on.turn; $('.judging__grid').toggleAttribute('data-turned', on.turn); pressed(); paint(); redraw(); say(phrase(on.turn ? 'b_left' : 'a_left')); }

/* The raw texts, as they were written: highlights hold in both views. */
let original = null;
async function raw() {
  if (on.raw) { restore(); say(phrase('as_meant')); return; }
  const mine = item, answer = await quietly(get(`${cfg.judge}/${item.assignment}/raw`)), texts = answer.ok ? await answer.json() : null;
  if (mine !== item || on.raw) return; if (!texts) return echo(phrase('raw_not_loaded'), { kind: 'kept' });
  on.raw = true; pressed(); original = [];
  for (const [place, body] of Object.entries(places)) for (const text of $$('.text[data-message]', body)) {
    const said = texts[place][text.dataset.message], shown = said.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|\0/g, '\ufffd'), words = el('div', { className: 'raw', textContent: shown });
    original.push([text, [...text.childNodes], text.dataset.map]); text.replaceChildren(words); text.dataset.map = `${points(shown)}@0`;
  }
  paint(); redraw(); say(phrase('raw_text'));
}
function restore() { if (!original) return; original.forEach(([text, nodes, map]) => { text.replaceChildren(...nodes); text.dataset.map = map; }); original = null; on.raw = false; pressed(); paint(); redraw(); }

/* What cannot be seen gets a small label over its place; the text itself does not change. */
const HIDDEN = /[\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]|\udb40[\udc00-\udfff]/g;
const LABELS = { 0xa0: 'NBSP', 0xad: 'SHY', 0x200b: 'ZWSP', 0x200c: 'ZWNJ', 0x200d: 'ZWJ', 0x200e: 'LRM', 0x200f: 'RLM', 0x202a: 'LRE', 0x202b: 'RLE', 0x202c: 'PDF', 0x202d: 'LRO', 0x202e: 'RLO', 0x2060: 'WJ', 0x2066: 'LRI', 0x2067: 'RLI', 0x2068: 'FSI', 0x2069: 'PDI', 0xfeff: 'BOM', 0x3000: 'IDSP' };
function drawInvisible() {
  $$('.unseen').forEach(n => n.remove()); if (!on.invisible) return 0;
  let found = 0;
  for (const body of Object.values(places)) {
    const pane = body.getBoundingClientRect(), labels = [];
    for (const text of $$('.text', body)) for (const leaf of leaves(text)) for (const m of leaf.atom ? [] : leaf.text.matchAll(HIDDEN)) {
      if (found === 500) break; found += 1;
      const r = document.createRange(); r.setStart(leaf.node, m.index); r.setEnd(leaf.node, m.index + m[0].length);
      const at = r.getClientRects()[0] || r.getBoundingClientRect(), code = m[0].codePointAt(0), t = el('span', { className: 'unseen', textContent: LABELS[code] || `U+${code.toString(16).toUpperCase().padStart(4, '0')}` });
      t.style.translate = `${Math.round(at.left - pane.left + body.scrollLeft)}px ${Math.round(at.top - pane.top + body.scrollTop - 2)}px`; labels.push(t);
    }
    body.append(...labels);
  }
  return found;
}
function invisible() { on.invisible = !on.invisible; pressed(); const n = drawInvisible(); if (on.invisible && !n) echo(phrase('unseen_none')); else say(on.invisible ? counted('unseen_shown', n) : phrase('unseen_hidden')); }

/* ---- the words that only one of the two has ---- */
const LONGEST = 3000;
function tokens(body) {
  const out = [];
  for (const text of $$('.text', body)) { const own = leaves(text); for (const leaf of own) { let at = leaf.at, from = 0; for (const m of leaf.text.matchAll(/[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]/gu)) { at += points(leaf.text.slice(from, m.index)); from = m.index; out.push({ own, at, n: points(m[0]), word: m[0] }); } } }
  return out;
}
/* The longest common subsequence, after the common beginning and end are set aside. */
function onlyIn(a, b) {
  let from = 0; while (from < a.length && from < b.length && a[from].word === b[from].word) from += 1;
  let i = a.length, j = b.length; while (i > from && j > from && a[i - 1].word === b[j - 1].word) { i -= 1; j -= 1; }
  const x = a.slice(from, i), y = b.slice(from, j); if (x.length > LONGEST || y.length > LONGEST) return null;
  const w = y.length + 1, t = new Uint16Array((x.length + 1) * w);
  for (let p = x.length - 1; p >= 0; p -= 1) for (let q = y.length - 1; q >= 0; q -= 1) t[p * w + q] = x[p].word === y[q].word ? t[(p + 1) * w + q + 1] + 1 : Math.max(t[(p + 1) * w + q], t[p * w + q + 1]);
  const only = { a: [], b: [] }; let p = 0, q = 0;
  while (p < x.length && q < y.length) if (x[p].word === y[q].word) { p += 1; q += 1; } else if (t[(p + 1) * w + q] >= t[p * w + q + 1]) only.a.push(x[p++]); else only.b.push(y[q++]);
  only.a.push(...x.slice(p)); only.b.push(...y.slice(q)); return only;
}
function drawDiff() {
  if (!window.CSS?.highlights) return null; CSS.highlights.delete('only-a'); CSS.highlights.delete('only-b'); if (!on.diff) return null;
  const only = onlyIn(tokens(bodies.a), tokens(bodies.b)); if (!only) return null;
  for (const s of ['a', 'b']) CSS.highlights.set(`only-${s}`, new Highlight(...only[s].map(o => rangeOf(o.own, o.at, o.at + o.n)).filter(Boolean)));
  return only;
}
function diff() {
  on.diff = !on.diff; const only = drawDiff(); if (on.diff && !only) { on.diff = false; pressed(); return echo(phrase(window.CSS?.highlights ? 'too_long_to_compare' : 'cannot_compare'), { kind: 'kept' }); }
  pressed(); say(phrase(on.diff ? 'compared' : 'not_compared'));
}
function redraw() { drawInvisible(); drawDiff(); }
/* A new pair: everything as it was handed out. */
export function freshLooks(next) {
  item = next; original = null; turnedOnce = false; Object.keys(on).forEach(k => { on[k] = false; }); pressed(); $('.judging__grid').removeAttribute('data-turned'); redraw();
}
addEventListener('resize', () => { if (on.invisible) drawInvisible(); });
Object.assign(ACTS, {
  prompt: () => setPrompt($('.prompt').hasAttribute('data-folded')), earlier: () => setEarlier(!places.prompt.hasAttribute('data-open')),
  link: () => { linked = !linked; store.set('linked', linked); showLinked(); say(phrase(linked ? 'linked' : 'not_linked')); },
  down: () => scrollPane(1), up: () => scrollPane(-1), turn, raw, invisible, diff,
});
