/* Principle by principle: A, B, the same, or not relevant. The server drew the order, and which comes first: these or
   the overall verdict. Whichever comes second waits until the first is given. */
import { $, $$, ACTS, form, phrase, say } from './kit.js';
import { keyOf } from './keys.js';

const box = $('[data-votes]'), rows = $$('[data-principle]', box || document.createElement('div')), deciding = $('[name="deciding"]', form);
let ask = null, opened = false;
const chosen = row => $('input:checked', row)?.value || '';
const verdict = () => $('[name="verdict"]:checked', form)?.value || '';
export const asking = () => !!ask;
export const votes = () => ask ? Object.fromEntries(rows.map(r => [r.dataset.principle, chosen(r)]).filter(([, v]) => v)) : {};
export const missing = () => ask ? rows.filter(r => !chosen(r)).length : 0;
const apart = () => { const said = Object.values(votes()); return said.includes('a') && said.includes('b') && /^[ab][1-3]$/.test(verdict()); };
export const decided = () => ask && deciding && apart() ? deciding.value : '';
export const undecided = () => ask && apart() && !deciding.value;
/* True while the principles have to be answered before the overall verdict may be. */
export const verdictWaits = () => !!ask && !ask.overall_first && !opened && missing() > 0;
export function setVotes(item, draft) {
  if (!box) return; ask = item.ask || null; opened = false; box.hidden = !ask; $('[data-deciding]').hidden = !ask;
  if (ask) { const now = rows.map(r => +r.dataset.principle), want = ask.order.filter(id => now.includes(id)), body = rows[0]?.parentNode; if (want.some((id, i) => +body.children[i].dataset.principle !== id)) want.forEach(id => body.append(rows.find(r => +r.dataset.principle === id))); }
  rows.forEach(r => $$('input', r).forEach(i => { i.checked = draft?.vote?.[r.dataset.principle] === i.value; }));
  if (deciding) deciding.value = draft?.deciding || '';
  opened = !!ask && (ask.overall_first ? !!verdict() : missing() === 0 || !!verdict()); settle();
}
export function settle() {
  if (!box || !ask) return;
  if (ask.overall_first ? verdict() : missing() === 0) opened = true;
  const waits = ask.overall_first && !opened; rows.forEach(r => $$('input', r).forEach(i => { i.disabled = waits; })); box.toggleAttribute('data-waits', waits);
  $$('[name="verdict"]', form).forEach(r => { r.disabled = verdictWaits(); }); $('.scale', form).toggleAttribute('data-waits', verdictWaits());
  $('[data-votes-hint]').textContent = waits ? phrase('votes_after') : verdictWaits() ? phrase('votes_first') : '';
  const d = $('[data-deciding]'); d.toggleAttribute('data-on', apart()); if (deciding) deciding.disabled = !apart();
}
function focusRow(row) { if (row) ($('input:checked', row) || $('input', row)).focus(); }
const ordered = () => box ? $$('[data-principle]', box) : [];
if (box) {
  ACTS.principles = () => { if (!ask) return say(phrase('not_by_principle')); if (box.hasAttribute('data-waits')) return say(phrase('overall_first')); focusRow(ordered().find(r => !chosen(r)) || ordered()[0]); };
  box.addEventListener('keydown', e => {
    const k = keyOf(e), row = e.target.closest('[data-principle]'), value = { a: 'a', b: 'b', '=': 'same', e: 'same', n: 'irrelevant' }[k];
    if (!row || !value || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault(); const input = $(`input[value="${value}"]`, row), all = ordered(); input.checked = true; input.dispatchEvent(new Event('input', { bubbles: true })); input.focus();
    const next = all[all.indexOf(row) + 1]; if (next) focusRow(next); else if (apart() && deciding) deciding.focus();
  });
}
