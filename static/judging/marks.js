/* Highlights: words that decided, in the prompt, A or B; by mouse, by touch, or sentence by sentence from the keyboard.
   They are painted over the text and never move it. Their places are those of the raw text, in code points. */
import { $, $$, ACTS, calm, el, form, phrase, say } from './kit.js';
import { first } from './keys.js';
import { leaves, partOf, rangeOf, segments, toRaw, toShown, within, wordsOf } from './places.js';

export const places = { prompt: $('[data-slot="prompt"]'), a: $('#body-a'), b: $('#body-b') };
const list = $('[data-marks]'), pop = $('[data-pop]'), tagBox = $('[data-pop-tag]'), principleBox = $('[data-pop-principle]');
const sideOf = place => place === 'prompt' ? phrase('the_prompt') : place.toUpperCase();
const tagName = key => [...tagBox?.options || []].find(o => o.value === key)?.text || '';
let spans = [], pending = null, editing = null, step = null, side = 'a', count = 0, down = false, timer;
const bare = ({ place, message, start, end, polarity, tag, principle }) => ({ place, message, start, end, polarity, tag, principle });
export const marks = () => list ? spans.map(bare) : [];
export function setMarks(sent) { leaveStep(true); close(); spans = list ? (sent || []).map(s => ({ polarity: 'supports', tag: '', principle: null, ...s, id: count += 1 })) : []; paint(); }
const changed = () => { paint(); form.dispatchEvent(new Event('input', { bubbles: true })); };
export const lookAt = s => { if (!step) side = s; };

/* ---- painting ---- */
const modern = !!(window.CSS?.highlights && window.Highlight);
function rangeFor(span, known = new Map()) {
  const text = places[span.place] && partOf(places[span.place], span.message); if (!text) return null;
  if (!known.has(text)) known.set(text, { map: segments(text), own: leaves(text) });
  const { map, own } = known.get(text), shown = toShown(map, span.start, span.end); if (!shown) return null;
  return { range: rangeOf(own, ...shown), words: wordsOf(own, ...shown).replace(/\s+/g, ' ').trim() };
}
/* Where highlights cannot be painted, the words are wrapped; the places do not change by it. */
function wrap(range, polarity) {
  const w = document.createTreeWalker(range.commonAncestorContainer.nodeType === 3 ? range.commonAncestorContainer.parentNode : range.commonAncestorContainer, NodeFilter.SHOW_TEXT), hit = [];
  for (let n = w.nextNode(); n; n = w.nextNode()) if (range.intersectsNode(n) && n.data.trim()) hit.push([n, n === range.startContainer ? range.startOffset : 0, n === range.endContainer ? range.endOffset : n.length]);
  hit.forEach(([n, f, t]) => { if (f >= t) return; const m = el('mark'), mid = n.splitText(f); m.dataset.pol = polarity; mid.splitText(t - f); mid.replaceWith(m); m.append(mid); });
}
export function paint() {
  if (!list) return;
  const painted = { supports: [], hurts: [] }, known = new Map(), ticks = [];
  if (!modern) Object.values(places).forEach(body => { $$('mark', body).forEach(m => m.replaceWith(...m.childNodes)); body.normalize(); });
  $$('.tick').forEach(t => t.remove());
  list.replaceChildren(...spans.map(span => {
    /* Wrapping changes the texts: there, what is known of them does not last. */
    const found = rangeFor(span, modern ? known : undefined), words = found?.words || phrase('not_shown');
    if (found) { if (modern) painted[span.polarity].push(found.range); else wrap(found.range, span.polarity); ticks.push([span, found.range]); }
    const hurts = span.polarity === 'hurts', li = el('li', { className: 'mk' }); li.dataset.side = span.place;
    const go = el('button', { type: 'button', className: 'mk__text', dir: 'auto', textContent: words }), off = el('button', { type: 'button', className: 'mk__x', title: phrase('remove') });
    go.dataset.go = span.id; go.setAttribute('aria-label', `${phrase(`${span.polarity}_side`, { side: sideOf(span.place), words })}. ${phrase('change')}`);
    off.dataset.off = span.id; off.setAttribute('aria-label', phrase('remove_highlight', { words: words.slice(0, 60) })); off.innerHTML = '<svg class="icon" aria-hidden="true"><use href="#i-x"/></svg>';
    const pol = el('span', { className: `pol pol--${span.polarity}`, textContent: hurts ? '−' : '+' }), at = el('span', { className: 'mk__side', textContent: span.place === 'prompt' ? 'P' : span.place.toUpperCase() });
    pol.setAttribute('aria-hidden', 'true'); at.setAttribute('aria-hidden', 'true');
    const named = [span.tag && tagName(span.tag), span.principle && principleBox ? [...principleBox.options].find(o => +o.value === span.principle)?.text : ''].filter(Boolean).join(', ');
    li.append(pol, at, go, el('span', { className: 'mk__tag', textContent: span.tag || span.principle ? named : '' }), off); return li;
  }));
  if (modern) { CSS.highlights.set('supports', new Highlight(...painted.supports)); CSS.highlights.set('hurts', new Highlight(...painted.hurts)); }
  /* All are measured before the first is put in: the page is laid out once. */
  ticks.map(([span, range]) => [span, tick(span, range)]).forEach(([span, t]) => t && places[span.place].append(t));
  $('[data-marks-empty]').hidden = spans.length > 0; list[spans.length ? 'setAttribute' : 'removeAttribute']('role', 'list');
}
/* The sign at the beginning of a highlight lies over the text: polarity is not told by line and colour alone. */
function tick(span, range) {
  const body = places[span.place], r = range.getClientRects()[0], p = body.getBoundingClientRect(); if (!r) return null;
  const t = el('span', { className: `tick tick--${span.polarity}`, textContent: span.polarity === 'hurts' ? '−' : '+' }); t.setAttribute('aria-hidden', 'true');
  /* Where reading begins: on the right of Arabic and Hebrew. */
  const from = range.startContainer, edge = getComputedStyle(from.nodeType === 1 ? from : from.parentElement).direction === 'rtl' ? r.right : r.left;
  t.style.translate = `${Math.round(edge - p.left + body.scrollLeft - 7)}px ${Math.round(r.top - p.top + body.scrollTop - 7)}px`; return t;
}

/* ---- making, changing, removing ---- */
function add(polarity) {
  if (editing) { editing.polarity = polarity; const id = editing.id; close(); changed(); say(phrase(polarity)); return $(`[data-go="${id}"]`)?.focus(); }
  if (!pending) return;
  const { place, message, start, end } = pending, words = pending.words;
  spans.push({ id: count += 1, place, message, start, end, polarity, tag: tagBox?.value || '', principle: +principleBox?.value || null });
  const back = pop.contains(document.activeElement); close(); changed(); say(phrase(`${polarity}_side`, { side: sideOf(place), words: words.slice(0, 80) }));
  if (step) select(); else { getSelection().removeAllRanges(); if (back) places[place].focus({ preventScroll: true }); }
}
function remove(id) {
  const i = spans.findIndex(s => s.id === id); if (i < 0) return; spans.splice(i, 1); close(); changed(); say(phrase('highlight_removed'));
  ($$('[data-off]')[Math.min(i, spans.length - 1)] || $('#note') || $('#item-heading')).focus({ preventScroll: true });
}
function close() { if (!pop) return; pop.hidden = true; editing = null; if (tagBox) tagBox.value = ''; if (principleBox) principleBox.value = ''; if (!step) pending = null; }
/* What a range on the screen means in the raw text; null where there is nothing to mark. */
export function meant(range, place) {
  const from = (range.startContainer.nodeType === 1 ? range.startContainer : range.startContainer.parentElement)?.closest('.text[data-message]') || $$('.text[data-message]', places[place]).find(t => range.intersectsNode(t));
  if (!from || !places[place].contains(from)) return null;
  const own = leaves(from); let [a, b] = within(from, range); const chars = [...wordsOf(own, a, b)];
  const lead = chars.findIndex(c => c.trim()), tail = chars.findLastIndex(c => c.trim()); if (lead < 0) return null;
  b = a + tail + 1; a += lead; const raw = toRaw(segments(from), a, b);
  return raw && { place, message: +from.dataset.message, start: raw[0], end: raw[1], words: wordsOf(own, a, b), range: rangeOf(own, a, b) };
}
function show(range, place) {
  const found = meant(range, place); if (!found) return close(); pending = found; editing = null; open(range, place);
}
function open(range, place) {
  $('[data-pop-off]').hidden = !editing; pop.hidden = false;
  const rects = [...range.getClientRects()].filter(r => r.width > 1), pane = places[place].getBoundingClientRect(), top = rects[0] || range.getBoundingClientRect(), end = rects.at(-1) || top;
  const box = pop.getBoundingClientRect(), floor = $('.verdict').getBoundingClientRect().top, coarse = matchMedia('(pointer: coarse)').matches;
  let y = top.top - box.height - 8; if (coarse || y < Math.max(pane.top - 40, 4)) y = end.bottom + 8;
  y = Math.max(4, Math.min(y, Math.min(innerHeight, floor > 100 ? floor : innerHeight) - box.height - 4));
  pop.style.translate = `${Math.round(Math.max(8, Math.min(top.left + Math.min(top.width, 320) / 2 - box.width / 2, innerWidth - box.width - 8)))}px ${Math.round(y)}px`;
}
function change(id) {
  const span = spans.find(s => s.id === id), found = span && rangeFor(span); if (!found) return; leaveStep(true);
  (found.range.startContainer.parentElement || found.range.startContainer).scrollIntoView({ block: 'center', inline: 'nearest', behavior: calm() ? 'auto' : 'smooth' });
  editing = span; if (tagBox) tagBox.value = span.tag; if (principleBox) principleBox.value = span.principle || ''; open(found.range, span.place); $(`[data-pol="${span.polarity}"]`, pop).focus({ preventScroll: true });
}
const selected = () => { const s = getSelection(); if (!s.rangeCount || s.isCollapsed) return null; const r = s.getRangeAt(0), hit = Object.entries(places).find(([, b]) => b.contains(r.startContainer)); return hit && r.toString().trim() ? { place: hit[0], range: r } : null; };
function peek(ms) { clearTimeout(timer); timer = setTimeout(() => { if (step || down || editing || pop.contains(document.activeElement)) return; const s = selected(); if (s) show(s.range, s.place); else close(); }, ms); }

/* ---- sentence by sentence ---- */
function sentences(body) {
  const out = [];
  for (const text of $$('.text[data-message]', body)) {
    if (!text.checkVisibility()) continue;
    const seg = new Intl.Segmenter(body.lang || undefined, { granularity: 'sentence' }), own = leaves(text); let block = null, words = '', base = 0;
    const flush = () => {
      const cut = block?.closest('pre') ? [...words.matchAll(/[^\n]+/g)].map(m => ({ index: m.index, segment: m[0] })) : [...seg.segment(words)];
      for (const s of words.trim() ? cut : []) { const t = s.segment.trim(); if (!t || !/[\p{L}\p{N}]/u.test(t)) continue; const from = base + [...words.slice(0, s.index + s.segment.indexOf(t))].length; out.push({ text, from, to: from + [...t].length }); }
      words = '';
    };
    for (const leaf of own) { const b = (leaf.atom ? leaf.node : leaf.node.parentElement).closest('p,li,h3,h4,h5,h6,td,th,pre,blockquote,.text'); if (b !== block) { flush(); block = b; base = leaf.at; } words += leaf.text; }
    flush();
  }
  return out;
}
const rangeOfStep = (from, to) => rangeOf(leaves(from.text), from.from, to.text === from.text ? to.to : from.to);
function enterStep(place) {
  const sel = selected(); if (sel && !step) { side = sel.place; show(sel.range, sel.place); if (!pop.hidden) $('.pop__b', pop).focus(); return; }
  const from = step?.from || document.activeElement; leaveStep(true); const body = places[place], found = sentences(body); if (!found.length) return; if (place !== 'prompt') side = place;
  const top = body.getBoundingClientRect().top; let i = found.findIndex(s => rangeOfStep(s, s)?.getBoundingClientRect().bottom > top + 8); if (i < 0) i = 0;
  step = { place, found, i, n: 1, from }; body.closest('.cand, .prompt').dataset.stepping = ''; body.focus({ preventScroll: true }); select();
}
function select() {
  const body = places[step.place], one = step.found[step.i], last = step.found[Math.min(step.i + step.n, step.found.length) - 1], r = rangeOfStep(one, last); if (!r) return;
  pending = meant(r, step.place); const s = getSelection(); s.removeAllRanges(); s.addRange(r);
  const box = r.getBoundingClientRect(), pane = body.getBoundingClientRect(), own = body.scrollHeight > body.clientHeight + 1;
  if (own && (box.top < pane.top + 24 || box.bottom > pane.bottom - 24)) body.scrollTop += box.top - pane.top - pane.height / 3;
  const floor = $('.verdict').getBoundingClientRect().top; if (box.top < 60 || box.bottom > floor - 8) scrollBy(0, box.top - innerHeight / 3);
  const where = phrase('n_of', { n: `${step.i + 1}${step.n > 1 ? `–${step.i + step.n}` : ''}`, all: step.found.length }), m = $('[data-mode]', body.closest('.cand, .prompt'));
  m.hidden = false; m.replaceChildren(el('b', { textContent: phrase('sentence', { where }) }), ...[['↑↓', phrase('step_move')], ['⇧↓', phrase('step_extend')], ['+', phrase('step_supports')], ['−', phrase('step_hurts')], [phrase('esc'), '']].map(([k, t]) => el('span', {}, el('kbd', { textContent: k }), t ? ` ${t}` : '')));
  say(`${phrase('side_sentence', { side: step.place === 'prompt' ? phrase('in_the_prompt') : sideOf(step.place), where })}. ${pending?.words || ''}`);
}
function leaveStep(keep) {
  if (!step) return; const { place, from } = step; step = null; pending = null; const c = places[place].closest('.cand, .prompt'); delete c.dataset.stepping; $('[data-mode]', c).hidden = true; getSelection().removeAllRanges(); pop.hidden = true;
  if (!keep && from?.isConnected && from !== document.body && document.activeElement === places[place]) from.focus({ preventScroll: true });
}
function stepKey(k, e) {
  const move = d => { if (e.shiftKey) step.n = Math.max(1, Math.min(step.n + d, step.found.length - step.i)); else { step.i = Math.max(0, Math.min(step.i + d, step.found.length - 1)); step.n = 1; } select(); };
  if (k === 'arrowdown' || k === 'arrowright' || k === 'j') move(1); else if (k === 'arrowup' || k === 'arrowleft' || k === 'k') move(-1);
  else if (k === '+' || k === '=') add('supports'); else if (k === '-' || k === '−') add('hurts');
  else if (k === 'a' || k === 'b') enterStep(k); else if (k === 'p') enterStep('prompt');
  else if (k === 'enter') { if (pending) { show(getSelection().getRangeAt(0), step.place); $('.pop__b', pop).focus(); } } else if (k === 'escape' || k === 'h') leaveStep(); else return false;
  return true;
}
first.push((k, e, { writing }) => {
  if (!list || e.ctrlKey || e.metaKey) return false;
  if (k === 'escape' && !pop.hidden) { const inside = pop.contains(e.target), p = editing?.place || pending?.place || side, id = editing?.id; close(); if (inside) (id ? $(`[data-go="${id}"]`) : places[p]).focus({ preventScroll: true }); if (step) select(); else getSelection().removeAllRanges(); return true; }
  if (writing || (pop.contains(e.target) && !['+', '-', '−'].includes(k))) return pop.contains(e.target) && !writing && k.length === 1 && k !== ' ';
  if (!pop.hidden && ['+', '=', '-', '−'].includes(k)) { add(k === '+' || k === '=' ? 'supports' : 'hurts'); return true; }
  return step ? stepKey(k, e) : false;
});
if (list) {
  ACTS.highlight = () => enterStep(side);
  addEventListener('pointerdown', e => { down = true; const inside = e.target.closest('[data-pop]'); if (step && !inside) leaveStep(); if (!pop.hidden && !inside && !e.target.closest('[data-go]')) close(); });
  addEventListener('pointerup', () => { down = false; peek(60); });
  /* A finger that scrolls, or holds still until a word is marked, is taken over by the browser: no pointerup comes. */
  addEventListener('pointercancel', () => { down = false; peek(250); });
  document.addEventListener('selectionchange', () => { if (!down) peek(250); });
  pop.addEventListener('pointerdown', e => { if (!e.target.closest('select')) e.preventDefault(); });
  pop.addEventListener('click', e => { const b = e.target.closest('[data-pol]'); if (b) add(b.dataset.pol); if (e.target.closest('[data-pop-off]') && editing) remove(editing.id); });
  pop.addEventListener('change', () => { if (editing) { editing.tag = tagBox?.value || ''; editing.principle = +principleBox?.value || null; changed(); } });
  list.addEventListener('click', e => { const go = e.target.closest('[data-go]'), off = e.target.closest('[data-off]'); if (off) remove(+off.dataset.off); else if (go) change(+go.dataset.go); });
  Object.values(places).forEach(b => b.addEventListener('scroll', () => { if (!step && !editing && !pop.hidden) close(); }, { passive: true }));
  /* Where the page itself scrolls, the choice goes with the words: it comes again where they came to rest. */
  addEventListener('scroll', () => { if (pop.hidden || step || editing || pop.contains(document.activeElement)) return; close(); peek(250); }, { passive: true });
  addEventListener('resize', () => { close(); paint(); });
}
