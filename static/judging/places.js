/* From the screen to the raw text and back. Each `.text` carries the map that the server made of it (tracing.py):
   its characters, in code points, with their places in the raw text. Formulas count as they were written. */
import { $ } from './kit.js';
import { texOf } from './math.js';

const SURROGATE = /[\ud800-\udfff]/;
export const points = s => SURROGATE.test(s) ? [...s].length : s.length;
const units = (s, n) => SURROGATE.test(s) ? [...s].slice(0, n).join('').length : Math.min(n, s.length);

export function segments(text) {
  let at = 0;
  return (text.dataset.map || '').split(' ').filter(Boolean).map(word => {
    const [shown, place] = word.split('@'), one = { at, n: +shown, start: -1, length: 0, whole: false }; at += one.n;
    if (place !== undefined) { const [start, length] = place.split('+'); one.start = +start; one.whole = length !== undefined; one.length = one.whole ? +length : one.n; }
    return one;
  });
}
/* The texts and formulas of a part, each with its place among the characters. */
export function leaves(text) {
  const out = []; let at = 0;
  (function walk(node) {
    for (const child of node.childNodes) {
      const tex = child.nodeType === 1 ? texOf(child) : undefined;
      if (child.nodeType === 3 || tex !== undefined) { const s = tex ?? child.data, n = points(s); if (n) out.push({ node: child, text: s, at, n, atom: tex !== undefined }); at += n; } else if (child.nodeType === 1) walk(child);
    }
  })(text);
  return out;
}
export const total = list => list.length ? list.at(-1).at + list.at(-1).n : 0;
function pointAt(list, container, offset, end) {
  for (const leaf of list) {
    if (leaf.node === container && !leaf.atom) return leaf.at + points(leaf.text.slice(0, offset));
    if (leaf.atom && leaf.node.contains(container)) return leaf.at + (end ? leaf.n : 0);
  }
  const r = document.createRange(); r.setStart(container, offset);
  const after = list.find(leaf => r.comparePoint(leaf.node, 0) >= 0);
  return after ? after.at : total(list);
}
/* A DOM range, as characters of the part it begins in. */
export function within(text, range) {
  const list = leaves(text), from = pointAt(list, range.startContainer, range.startOffset, false);
  return [from, text.contains(range.endContainer) ? pointAt(list, range.endContainer, range.endOffset, true) : total(list)];
}
export function rangeOf(list, from, to) {
  const first = list.find(l => l.at + l.n > from), last = list.findLast(l => l.at < to), r = document.createRange();
  if (!first || !last) return null;
  if (first.atom) r.setStartBefore(first.node); else r.setStart(first.node, units(first.text, Math.max(0, from - first.at)));
  if (last.atom) r.setEndAfter(last.node); else r.setEnd(last.node, units(last.text, Math.min(last.n, to - last.at)));
  return r;
}
export const wordsOf = (list, from, to) => list.filter(l => l.at < to && l.at + l.n > from).map(l => [...l.text].slice(Math.max(0, from - l.at), to - l.at).join('')).join('');
export function toRaw(map, from, to) {
  const first = map.find(s => s.start >= 0 && s.at + s.n > from), last = map.findLast(s => s.start >= 0 && s.at < to);
  if (!first || !last) return null;
  const start = first.whole ? first.start : first.start + Math.max(0, from - first.at), end = last.whole ? last.start + last.length : last.start + Math.min(last.n, to - last.at);
  return start < end ? [start, end] : null;
}
export function toShown(map, start, end) {
  const first = map.find(s => s.start >= 0 && s.start + s.length > start), last = map.findLast(s => s.start >= 0 && s.start < end);
  if (!first || !last) return null;
  const from = first.whole ? first.at : first.at + Math.max(0, start - first.start), to = last.whole ? last.at + last.n : last.at + Math.min(last.n, end - last.start);
  return from < to ? [from, to] : null;
}
export const partOf = (body, message) => $(`.text[data-message="${message}"]`, body);
