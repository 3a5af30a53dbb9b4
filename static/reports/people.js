// Enhances what the server has drawn: two chosen at most, the grid of kappas, a drawer that closes with Escape.
import { $, $$, grid } from './grid.js';

const filter = $('#filter');
if (filter) {
  $('button', filter).hidden = true;
  filter.addEventListener('change', () => filter.requestSubmit());
}

const table = $('.ptab'), compare = $('#cmp'), count = $('#count');
if (table) {
  const boxes = $$('input[name=who]', table);
  let chosen = boxes.filter(box => box.checked);
  const name = box => $('bdi', box.parentNode).textContent;
  const tell = () => {
    compare.setAttribute('aria-disabled', String(chosen.length !== 2));
    if (chosen.length === 1) count.textContent = `${name(chosen[0])} chosen; choose one more to compare`;
    if (chosen.length === 2) count.textContent = `${name(chosen[0])} and ${name(chosen[1])} chosen`;
  };
  table.addEventListener('change', event => {
    const box = event.target;
    if (box.name !== 'who') return;
    chosen = box.checked ? [...chosen, box].slice(-2) : chosen.filter(one => one !== box);
    boxes.forEach(one => { one.checked = chosen.includes(one); one.closest('tr').classList.toggle('sel', one.checked); });
    tell();
  });
  compare.form.addEventListener('submit', event => {
    if (chosen.length === 2) return;
    event.preventDefault();
    count.textContent = 'Choose two to compare.';
  });
  tell();
}

// Closed without another page: the focus goes back to the button, and the address forgets who was compared.
const drawer = $('#drawer');
if (drawer) {
  const close = event => {
    event.preventDefault();
    history.replaceState(null, '', $('#d-x').href);
    drawer.remove();
    $('main').classList.remove('beside');
    compare?.focus();
  };
  drawer.focus({ preventScroll: true });
  $('#d-x').addEventListener('click', close);
  addEventListener('keydown', event => { if (event.key === 'Escape' && drawer.isConnected) close(event); });
}

const kappas = $('#kappas');
if (kappas) {
  const heads = $$('thead th[data-number]', kappas), names = heads.map(head => head.textContent);
  const numbers = heads.map(head => head.dataset.number), say = $('#am-say'), link = $('#am-cmp');
  const bold = text => { const b = document.createElement('b'); b.textContent = text; return b; };
  const show = (cell, i, j) => {
    const n = +cell.dataset.n, pairs = cell.dataset.n ? `${n.toLocaleString('en')} ${n === 1 ? 'pair' : 'pairs'}` : 'too few pairs';
    if (cell.dataset.kappa) say.replaceChildren(bold(names[i]), ' and ', bold(names[j]), ' agree at kappa ', bold(cell.dataset.kappa), ` on ${pairs.replace('pair', 'common pair')}.`);
    else say.replaceChildren(bold(names[i]), ' and ', bold(names[j]), ` share ${pairs}: not enough data.`);
    const address = new URL(link.href);
    address.searchParams.delete('who');
    for (const place of [i, j]) address.searchParams.append('who', numbers[place]);
    link.href = address;
  };
  const keep = (i, j) => {
    const address = new URL(location.href);
    address.searchParams.set('pin', `${numbers[i]},${numbers[j]}`);
    history.replaceState(null, '', address);
  };
  grid(kappas, { show, said: say, live: $('#am-live'), onPin: keep });
}
