/* Keys of adjudication: those of the judging page where they mean the same. The page works without them. */
const $ = selector => document.querySelector(selector);
const form = $('#decide');
const choose = value => { const radio = form?.querySelector(`[value="${value}"]`); if (radio) { radio.checked = true; radio.focus({ preventScroll: true }); } };
const OUTCOME = { 1: 'first', 2: 'first', 3: 'first', 4: 'tie', 5: 'second', 6: 'second', 7: 'second', 0: 'both_bad', 8: 'ambiguous', 9: 'unclear' };
const ACTS = {
  r: () => $('#reason')?.focus(),
  s: () => $('#later')?.click(),
  u: () => $('#undo')?.requestSubmit(),
  d: () => $('#cause')?.focus(),
  g: () => $('#guideline')?.click(),
};
const isWriting = target => target.matches('textarea, select, input:not([type="radio"], [type="checkbox"])');

addEventListener('keydown', event => {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const { target, key } = event, isCommand = event.ctrlKey || event.metaKey;
  if (isCommand && key === 'Enter' && form) { event.preventDefault(); form.requestSubmit(); return; }
  if (isCommand) return;
  if (key === 'Escape' && isWriting(target)) { form?.querySelector('[name="outcome"]:checked, [name="outcome"]')?.focus(); return; }
  if (isWriting(target)) return;
  if (key === 'Enter') { if (form && !target.closest('a, button, summary')) { event.preventDefault(); form.requestSubmit(); } return; }
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code)?.[1] ?? (/^[0-9]$/.test(key) ? key : '');
  if (digit && form) { event.preventDefault(); choose(OUTCOME[digit]); }
  else if (ACTS[key.toLowerCase()]) { event.preventDefault(); ACTS[key.toLowerCase()](); }
});

/* What is being written is kept in this tab until it is sent. */
if (form) {
  const name = `plumbline:adjudication:${form.dataset.case}`;
  const fields = ['reason', 'note'].map(id => $(`#${id}`));
  const store = act => { try { return act(sessionStorage); } catch { return null; } };
  const kept = JSON.parse(store(place => place.getItem(name)) || 'null');
  if (kept) fields.forEach(field => { if (!field.value) field.value = kept[field.id] || ''; });
  form.addEventListener('input', () => store(place => place.setItem(name, JSON.stringify(Object.fromEntries(fields.map(field => [field.id, field.value]))))));
  form.addEventListener('submit', () => store(place => place.removeItem(name)));
}
