/* Keys: one table, which can be changed and switched off. Ctrl and Enter always submits. */
import { $, $$, ACTS, el, form, phrase, say, store } from './kit.js';

/* By position when the layout is not Latin (Arabic, Cyrillic, …) or when digits need Shift (AZERTY). */
export const keyOf = e => /^[\x21-\x7e]$/.test(e.key) && !/^(Digit|Numpad)\d$/.test(e.code) ? e.key.toLowerCase() : e.key.length > 1 ? e.key.toLowerCase() : e.shiftKey ? e.key.toLowerCase() : /^(Key|Digit|Numpad)(.)$/.test(e.code) ? RegExp.$2.toLowerCase() : e.key.toLowerCase();
const USUAL = { g: 'guideline', '?': 'shortcuts', u: 'undo', p: 'prompt', l: 'link', s: 'skip', f: 'flag', r: 'note', t: 'tags', h: 'highlight', m: 'principles', d: 'diff', x: 'turn', w: 'raw', i: 'invisible', e: 'edit', j: 'down', k: 'up', v: 'versions', '[': 'earlier_answer', ']': 'later_answer' };
const NAMED = Object.values(USUAL);
const nameOf = act => phrase(`key_${act}`);
/* Own keys by act; what is not here keeps its usual key, unless somebody has put another act on it. */
let own = store.get('keys', {}), single = store.get('single', true), MAP;
const keyFor = act => Object.keys(MAP).find(k => MAP[k] === act) || '';
export const actOf = k => MAP[k];
function build() {
  const usual = Object.entries(USUAL).filter(([, act]) => !own[act]), mine = Object.values(USUAL).filter(act => own[act]).map(act => [own[act], act]);
  MAP = Object.fromEntries([...usual, ...mine]); MAP.enter = 'submit'; showKeys();
}
/* What is shown and said of a key follows the table: the signs on buttons and in the list, titles, screen readers. */
export function showKeys() {
  $$('[data-key-of]').forEach(n => {
    const k = keyFor(n.dataset.keyOf), sign = k.toUpperCase();
    if (n.tagName === 'KBD') { n.textContent = sign; n.hidden = !k; return; }
    if (k) n.setAttribute('aria-keyshortcuts', k); else n.removeAttribute('aria-keyshortcuts');
    if (n.dataset.told ??= n.title) n.title = k ? n.dataset.told.replace(/\(.\)$/, `(${sign})`) : n.dataset.told.replace(/ \(.\)$/, '');
  });
}
/* Buttons say their usual key; a sentence that names one says which act it means. */
const follow = () => {
  $$('[aria-keyshortcuts]:not([data-key-of])').forEach(n => { const act = USUAL[n.getAttribute('aria-keyshortcuts')]; if (act) n.dataset.keyOf = act; });
  $$('[data-press] kbd').forEach(n => { n.dataset.keyOf = n.closest('[data-press]').dataset.press; });
};
follow(); build();

/* Those who come first see every key: (key, event) => true when it was theirs. The first is asked first. */
export const first = [];
const writingIn = t => t.matches('textarea, select, [contenteditable], input:not([type="radio"], [type="checkbox"])');
document.addEventListener('keydown', e => {
  if (e.defaultPrevented || e.isComposing || e.altKey) return;
  const k = keyOf(e), t = e.target, writing = writingIn(t), dlg = $('dialog[open]');
  if (dlg) {
    if (waiting) { e.preventDefault(); return take(k); }
    if (single && !writing && ((MAP[k] === 'guideline' && dlg.id === 'guideline') || (MAP[k] === 'shortcuts' && dlg.id === 'shortcuts'))) { e.preventDefault(); dlg.close(); }
    return;
  }
  if (!form || form.hidden) { if (single && !writing && !e.ctrlKey && !e.metaKey && ['guideline', 'undo'].includes(MAP[k]) && ACTS[MAP[k]]) { e.preventDefault(); ACTS[MAP[k]](); } return; }
  if (first.some(one => one(k, e, { writing, single }))) { e.preventDefault(); return; }
  if (k === 'escape') { if (writing) ($('[name="verdict"]:checked') || $('#item-heading')).focus({ preventScroll: true }); return; }
  if (e.ctrlKey || e.metaKey) {
    if (k === 'enter') { e.preventDefault(); form.requestSubmit(); }
    else if (k === 's') { e.preventDefault(); ACTS.save(); }
    else if (k === 'z' && !writing && !e.shiftKey) { e.preventDefault(); ACTS.undo(); }
    return;
  }
  if (writing || (k === 'enter' && t.closest('button, a, summary')) || (!single && k !== 'enter')) return;
  if (/^[0-7]$/.test(k)) { e.preventDefault(); ACTS.choose(k); } else if (MAP[k]) { e.preventDefault(); ACTS[MAP[k]]?.(); }
});

/* ---- changing them ---- */
let waiting = null;
function list() {
  const out = $('[data-own-keys]'); if (!out) return; const here = out.dataset.ownKeys.split(' ').filter(Boolean);
  out.replaceChildren(...NAMED.filter(act => !here.length || here.includes(act)).map(act => {
    const name = nameOf(act);
    const b = el('button', { type: 'button', className: 'btn key-b', textContent: keyFor(act).toUpperCase() }); b.dataset.remap = act; b.setAttribute('aria-label', phrase('key_change', { name, key: keyFor(act) }));
    return el('div', {}, el('dt', {}, b), el('dd', { textContent: name }));
  }));
}
function take(k) {
  const act = waiting, out = $('[data-own-keys-said]'); waiting = null;
  /* Also by an act of another page: whoever has put a key there means it. */
  const fits = k.length === 1 && !/[0-9\s]/.test(k), taken = [MAP[k], ...Object.keys(own).filter(a => own[a] === k)].find(a => a && a !== act);
  if (k === 'escape' || !fits || taken) out.textContent = k === 'escape' ? '' : taken ? phrase('key_taken', { key: k.toUpperCase(), name: nameOf(taken) }) : phrase('key_unfit');
  else { own = { ...own, [act]: k }; store.set('keys', own); build(); out.textContent = `${nameOf(act)}: ${k.toUpperCase()}`; }
  say(out.textContent); list(); $(`[data-remap="${act}"]`)?.focus();
}
$('[data-own-keys]')?.addEventListener('click', e => { const b = e.target.closest('[data-remap]'); if (!b) return; waiting = b.dataset.remap; b.textContent = '…'; say(phrase('key_press', { name: nameOf(waiting) })); });
$('#shortcuts')?.addEventListener('cancel', e => { if (waiting) e.preventDefault(); });
Object.assign(ACTS, { usual_keys: () => { own = {}; store.drop('keys'); build(); list(); $('[data-own-keys-said]').textContent = phrase('keys_usual'); } });
const sw = $('[data-single]');
if (sw) { sw.checked = single; sw.addEventListener('change', () => { single = sw.checked; store.set('single', single); }); }
list();
/* A part that is not on every page brings its own key. */
export function bringKey(k, act) { USUAL[k] = act; NAMED.push(act); follow(); build(); list(); }
