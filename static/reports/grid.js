// A keyboard grid over a plain table: one tab stop, arrows, Home and End, Enter pins; pointer or focus previews.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/**
 * show(cell, row, column, isPinned) draws a cell beside the grid; only pinning is spoken, through `live`.
 * Without a pinned cell nothing is shown until one is looked at.
 */
export function grid(table, { show, said, live, onPin = () => {} }) {
  const rows = $$('tbody tr', table).map(row => $$('td', row));
  const heads = $$('thead th:not(.cn)', table), labels = $$('tbody th', table);
  const isFree = cell => cell && !cell.classList.contains('diag');
  const at = cell => { const i = rows.findIndex(row => row.includes(cell)); return [i, rows[i].indexOf(cell)]; };
  let pinned = $('td[aria-selected=true]', table);
  (pinned ?? rows[0]?.find(isFree))?.setAttribute('tabindex', '0');

  const light = cell => {
    $$('.hi', table).forEach(one => one.classList.remove('hi'));
    if (!cell) return;
    const [i, j] = at(cell);
    labels[i].classList.add('hi');
    heads[j].classList.add('hi');
  };
  const preview = cell => { light(cell); if (isFree(cell)) show(cell, ...at(cell), cell === pinned); };
  const pin = cell => {
    if (!isFree(cell)) return;
    pinned?.setAttribute('aria-selected', 'false');
    pinned = cell;
    cell.setAttribute('aria-selected', 'true');
    preview(cell);
    live.textContent = said.textContent;
    onPin(...at(cell));
  };
  const rest = () => {
    const held = document.activeElement;
    preview(table.contains(held) && held.matches('tbody td') ? held : pinned);
  };
  const cellOf = event => event.target.closest?.('tbody td');

  table.addEventListener('pointerover', event => { const cell = cellOf(event); if (cell) preview(cell); });
  table.addEventListener('pointerleave', rest);
  table.addEventListener('focusin', event => {
    const cell = cellOf(event);
    if (!cell) return;
    $$('td[tabindex="0"]', table).forEach(one => { one.tabIndex = -1; });
    cell.tabIndex = 0;
    preview(cell);
  });
  table.addEventListener('focusout', () => requestAnimationFrame(rest));
  table.addEventListener('click', event => { const cell = cellOf(event); if (cell) { cell.focus({ preventScroll: true }); pin(cell); } });
  table.addEventListener('keydown', event => {
    const cell = cellOf(event);
    if (!cell || event.altKey || event.metaKey) return;
    if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); pin(cell); return; }
    let [i, j] = at(cell);
    const last = rows.length - 1, end = rows[0].length - 1;
    const moves = { ArrowUp: () => i--, ArrowDown: () => i++, ArrowLeft: () => j--, ArrowRight: () => j++,
      Home: () => { j = 0; if (event.ctrlKey) i = 0; }, End: () => { j = end; if (event.ctrlKey) i = last; } };
    if (!moves[event.key]) return;
    moves[event.key]();
    event.preventDefault();
    rows[Math.max(0, Math.min(last, i))][Math.max(0, Math.min(end, j))].focus();
  });
  if (pinned) light(pinned);
  return { rows, pin };
}
