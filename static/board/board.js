/* The board: starts the engine, paints, keeps the address, and fetches what the server knows better. */
import { $, S, el, filterQuery, fmt, nPairs, fromQuery, isRange, percent, toQuery, tooLong, words } from './filters.js';
import { isSettled, setFilters, settled, start, want } from './cubes.js';
import { C, theme } from './colours.js';
import { Cats, Chart, charts, tables } from './charts.js';
import * as plane from './plane.js';

const root = $('board'), url = root.dataset;
const DEFAULT = 3;                                      // the cube that is built first: of the fourth dimension
const HIDDEN_WHEN_ALIKE = new Set(['language', 'tag', 'source', 'split', 'marked', 'relevant', 'arbitrary', 'margin', 'reward', 'difficulty', 'strength']);
const SHOWN = { language: 5, tag: 6, source: 5, split: 5 };
const say = text => { $('problem').hidden = false; $('problem').textContent = text; };
const problem = text => { say(text); $('state').textContent = 'Not loaded'; };

/* ---------- painting ---------- */
let frame = 0, drawn = '', saidAt = '';
function dirty() { if (!frame) frame = requestAnimationFrame(paint); }
function paint() {
  frame = 0;
  for (const chart of charts) chart.text();
  const key = [S.generation, S.scale, S.pin && S.pin.n, C.isDark].join();
  if (key !== drawn) { drawn = key; for (const chart of charts) chart.draw(); }
  plane.draw();
  plane.placeBox();
  drawReadings();
  if (S.shown !== S.selected) {
    S.shown = S.selected;
    const share = S.rows ? S.selected / S.rows : 0;
    $('selected').textContent = fmt(S.selected);
    $('share').textContent = percent(share);
    $('share-fill').style.transform = `scaleX(${share})`;
  }
  const stamp = S.stamps.join();
  if (stamp !== saidAt) { saidAt = stamp; sentence(); later(); }
  root.dispatchEvent(new Event('painted'));
}
function all() { drawn = ''; for (const chart of charts) { chart.size(); chart.last = null; } plane.draw(true); dirty(); }

/* ---------- the sentence: chips are rebuilt only when a filter comes or goes ---------- */
let chips = [], chipKey = null;
function sentence() {
  const on = S.dims.map((d, i) => [d, i]).filter(([, i]) => S.filters[i]), key = on.map(([, i]) => i).join();
  if (key !== chipKey) {
    chipKey = key;
    chips = [];
    const place = $('words');
    place.replaceChildren(on.length ? 'Pairs with ' : 'All pairs. Drag on any chart or on the plane to select.');
    on.forEach(([d, i], k) => {
      const name = d.label.toLowerCase(), remove = el('button', { type: 'button', textContent: '×', 'aria-label': `Remove ${name}` }), value = el('b', { dir: 'auto' });
      remove.addEventListener('click', () => setFilters([[i, null]], i));
      chips[i] = value;
      place.append(k ? (k === on.length - 1 ? ' and ' : ', ') : '', el('span', { className: 'chip' }, el('span', {}, `${name} `, value), remove));
    });
    $('clear-all').disabled = !on.length;
  }
  for (const [d, i] of on) { const text = words(d, S.filters[i]); if (chips[i].textContent !== text) chips[i].textContent = text; }
  const shown = decodeURIComponent(toQuery()) || 'no filter';
  if (S.query !== shown) { S.query = shown; $('query').textContent = shown; }
}

/* ---------- after the hand rests: address, table, text for who hears the page ---------- */
let isRefused = false;
function refused() {
  const text = tooLong(Number(url.longest));
  if (text) say(text); else if (isRefused) $('problem').hidden = true;
  isRefused = !!text;
  return isRefused;
}
let timer = 0, asked = 0, loaded = null;
function later() {
  $('table').classList.add('busy');
  clearTimeout(timer);
  timer = setTimeout(rest, 110);
}
function keep() { history.replaceState(null, '', location.pathname + toQuery()); }
async function rest() {
  if (!isSettled()) return;
  if (refused()) return;
  keep();
  $('said').textContent = `Selected ${fmt(S.selected)} of ${fmt(S.rows)} pairs.`;
  for (const chart of charts) chart.describe();
  const H = S.hist[S.at.reading];
  $('plane-said').textContent = `Density of pairs by ${S.dims[0].label.toLowerCase()} and agreement. ${S.readings.map((R, i) => `${R.name}: ${fmt(H[i + 1])}`).join('. ')}.`;
  for (const form of document.querySelectorAll('input[name=filter]')) form.value = filterQuery();
  for (const way of ['groups', 'compare', 'release']) $(way).href = `${url[way]}?filter=${encodeURIComponent(filterQuery())}`;
  // The rest of the filter goes on to the board of all pairs.
  if ($('unscope')) $('unscope').search = filterQuery().slice(S.scope.length).replace(/^&/, '');
  if ($('numbers').open) numbers();
  if (tableQuery() === loaded) { $('table').classList.remove('busy'); return; }
  await table();
}
/* Which rows the table is of; `trail` holds the marks at which its pages begin, up to the one that is shown. */
let trail = [''];
const tableQuery = () => [filterQuery(), S.sort === '-difficulty' ? '' : `sort=${S.sort}`].filter(Boolean).join('&');
async function table(after = '') {
  const number = ++asked, query = tableQuery();
  try {
    const response = await fetch(`${url.rows}?${[query, after && `after=${after}`].filter(Boolean).join('&')}`, { headers: { 'X-Fragment': '1' } });
    const text = await response.text();
    if (number !== asked) return;
    if (!response.ok) { problem(response.status === 400 ? text : `The table could not be loaded (${response.status}). Reload the page.`); return; }
    $('table').innerHTML = text;                        // the server's own template, which escapes what it shows
    trail = query === loaded ? [...trail.slice(0, trail.includes(after) ? trail.indexOf(after) : trail.length), after] : [after];
    loaded = query;
    $('table').classList.remove('busy');
    if (trail.length > 2) previous(trail.at(-2));
    rowOf(S.open)?.classList.add('at');
    if (Number($('found').dataset.version) !== S.version) $('newer').hidden = false;
  } catch {
    if (number === asked) problem('The table could not be loaded: the server does not answer. Try again in a moment.');
  }
}
/* The server knows the way to the first page and to the next; only who came along knows the one before. */
function previous(after) {
  const first = $('table').querySelector('.more-rows [data-after=""]'), link = first.cloneNode();
  link.dataset.after = after;
  link.search = [tableQuery(), `after=${after}`].filter(Boolean).join('&');
  link.textContent = first.textContent.replace('First', 'Previous');
  first.after(link);
}
function numbers() { $('numbers-body').replaceChildren(...tables()); }

/* ---------- the table and the drawer: links that also work without this script ---------- */
let back = null;
$('table').addEventListener('click', async event => {
  const link = event.target.closest('a'), act = event.target.closest('[data-do]');
  // Every answer of the server brings these buttons anew: they are listened to from here.
  if (act) { press(act.dataset.do, () => [filterQuery(), S.selected, 'the selection']); return; }
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link && link.dataset.sort) {
    event.preventDefault();
    S.sort = link.dataset.sort;
    sentence();
    keep();
    await table();
    $('table').querySelector('[aria-sort] a')?.focus();
  } else if (link && 'after' in link.dataset) {
    event.preventDefault();
    await table(link.dataset.after);
    $('rows').focus();
  } else {
    const row = event.target.closest('tr[data-pair]');
    if (!row) return;
    event.preventDefault();
    open(Number(row.dataset.pair), true);
  }
});
const rowOf = pair => $('table').querySelector(`tr[data-pair="${pair}"]`);
let opening = 0;
async function open(pair, isByHand) {
  const drawer = $('drawer'), number = ++opening;
  let text = '';
  try {
    const response = await fetch(`${url.pair.replace('/0', `/${pair}`)}?${filterQuery()}`, { headers: { 'X-Fragment': '1' } });
    text = await response.text();
    if (number !== opening) return;                     // another was opened, or this one closed
    if (!response.ok) { say(`Pair ${pair} could not be loaded (${response.status}).`); return; }
  } catch {
    if (number === opening) say(`Pair ${pair} could not be loaded: the server does not answer. Try again in a moment.`);
    return;
  }
  S.open = back = pair;
  drawer.innerHTML = text;                              // the server's own template
  drawer.hidden = false;
  if (drawer.querySelector('.math')) import('../judging/math.js').then(({ mathIn }) => mathIn(drawer));
  $('table').querySelectorAll('tr.at').forEach(one => one.classList.remove('at'));
  rowOf(pair)?.classList.add('at');
  const bins = drawer.querySelector('header').dataset;
  if ('agreement' in bins) plane.ring(Number(bins[S.dims[0].key]), Number(bins.agreement));
  const list = [...$('table').querySelectorAll('tr[data-pair]')].map(one => Number(one.dataset.pair)), at = list.indexOf(pair);
  const step = (text, to) => { const button = el('button', { type: 'button', className: 'mini', textContent: text, disabled: at < 0 || !list[to] }); button.addEventListener('click', () => open(list[to], true)); return button; };
  const shut = el('button', { type: 'button', className: 'mini', textContent: 'Close' });
  shut.addEventListener('click', close);
  drawer.querySelector('.steps').replaceChildren(step('Previous', at - 1), step('Next', at + 1), shut);
  sentence();
  keep();
  if (isByHand) drawer.querySelector('h2').focus();
}
$('drawer').addEventListener('click', event => {
  const act = event.target.closest('[data-do]'), pair = act?.closest('[data-number]').dataset;
  if (act) press(act.dataset.do, () => [`only=${pair.number}`, 1, pair.name]);
});
function close() {
  opening++;
  $('drawer').hidden = $('pin').hidden = true;
  S.open = null;
  const row = rowOf(back);
  row?.classList.remove('at');
  (row?.querySelector('a') ?? $('rows')).focus();
  sentence();
  keep();
}
addEventListener('keydown', event => {
  if (event.key === 'Escape' && !$('drawer').hidden && !document.querySelector('dialog[open]') && !event.target.matches('input:not([type=radio]), textarea')) close();
});

/* ---------- readings and their queues ---------- */
function readings() {
  const i = S.at.reading;
  S.readings.forEach((R, k) => {
    const q = S.dims[2], hasVotes = S.totals[2].some((n, b) => n && b < q.bins);
    const wants = [R.needs_difficulty && S.dims[0].key !== 'difficulty' ? 'a difficulty' : '', R.key !== 'hard' && !hasVotes ? 'votes on principles' : ''].filter(Boolean);
    R.isReady = !wants.length;
    R.only = () => {
      const f = new Uint8Array(S.dims[i].slots), now = S.filters[i];
      f[k + 1] = 1;
      setFilters([[i, now && now[k + 1] && now.reduce((a, b) => a + b) === 1 ? null : f]], i);
    };
    const article = $(`reading-${R.key}`);
    R.n = article.querySelector('.big');
    R.of = article.querySelector('.of');
    R.button = article.querySelector('.only');
    R.button.addEventListener('click', R.only);
    for (const act of article.querySelectorAll('[data-do]')) act.addEventListener('click', () => press(act.dataset.do, () => [filterQuery({ reading: R.key }), S.hist[i][k + 1], R.name.toLowerCase()]));
    for (const button of article.querySelectorAll('button')) button.disabled = !R.isReady;
    if (!R.isReady) { R.n.textContent = '–'; const why = article.querySelector('.wants'); why.hidden = false; why.textContent = `It needs ${wants.join(' and ')}: there is none yet.`; if (R.mark) R.mark.disabled = true; }
  });
}
function drawReadings() {
  const i = S.at.reading, T = S.totals[i], H = S.hist[i] || T, f = S.filters[i];
  S.readings.forEach((R, k) => {
    const n = H[k + 1], total = T[k + 1], key = `${n}/${total}/${f ? f[k + 1] : ''}`;
    if (!R.isReady || R.drawn === key) return;
    R.drawn = key;
    R.n.textContent = fmt(n);
    R.of.textContent = n === total ? (n === 1 ? 'pair' : 'pairs') : `of ${fmt(total)}`;
    if (R.mark) R.mark.lastChild.textContent = fmt(n);
    for (const button of [R.mark, R.button]) button?.setAttribute('aria-pressed', !!(f && f[k + 1]));
  });
}
const ACTS = {
  adjudicate: ['Send to adjudication', 'They wait for an adjudicator who has not judged them, most disagreement first. Every judgement is kept.'],
  ask_again: ['Re-annotate', 'People who have not seen the pair judge it too. Earlier judgements are kept and stay hidden from them.'],
  exclude: ['Exclude', 'They leave the board, the queue of annotators and every release from now on. Nothing is deleted: under “Out of play” they are put back.'],
};
/* How many pairs an act is about is known once the columns are here and the last brush is counted. */
async function press(act, about) {
  await settled();
  if (refused()) { $('problem').scrollIntoView({ block: 'nearest' }); return; }
  ask(act, ...about());
}
function ask(act, filter, n, what) {
  const dialog = $('ask'), form = dialog.querySelector('form'), isMany = n > 1000, [title, text] = ACTS[act], go = $('ask-go');
  $('ask-title').textContent = `${title}: ${nPairs(n)}`;
  $('ask-text').textContent = `${text} From: ${what}.`;
  $('ask-more').hidden = act !== 'ask_again';
  $('ask-why').hidden = act !== 'exclude';
  form.elements.because.required = act === 'exclude';
  $('ask-typed').hidden = !isMany;
  $('ask-number').textContent = String(n);
  const typed = $('ask-typed').querySelector('input');
  typed.value = '';
  typed.oninput = () => { go.disabled = typed.value.replace(/\D/g, '') !== String(n); };
  Object.assign(form.elements.do, { value: act });
  form.elements.filter.value = filter;
  form.elements.expected.value = n;
  form.elements.back.value = toQuery().slice(1);
  go.textContent = title;
  go.disabled = isMany || !n;
  if (!dialog.open) dialog.showModal();
}

/* ---------- buttons ---------- */
function colour(kind) {
  S.colour = kind;
  $('by-density').setAttribute('aria-pressed', kind === 'density');
  $('by-discretion').setAttribute('aria-pressed', kind !== 'density');
  plane.legend();
  dirty();
}
function scale(kind) {
  S.scale = kind;
  $('to-all').setAttribute('aria-pressed', kind === 'all');
  $('to-own').setAttribute('aria-pressed', kind !== 'all');
  dirty();
}
function pin() {
  const own = (h, i) => { const copy = Uint32Array.from(h), f = S.filters[i]; if (f) copy.forEach((_, b) => { if (!f[b]) copy[b] = 0; }); return copy; };
  S.pin = S.pin ? null : { n: S.selected, hist: S.hist.map(own) };
  $('pin-it').setAttribute('aria-pressed', !!S.pin);
  $('pin-it').textContent = S.pin ? `Pinned ${fmt(S.pin.n)}` : 'Pin';
  $('key-pin').hidden = !S.pin;
  dirty();
}
let toasting = 0;
function toast(text) { $('toast').textContent = text; clearTimeout(toasting); toasting = setTimeout(() => { $('toast').textContent = ''; }, 4000); }
function wire() {
  $('clear-all').addEventListener('click', () => setFilters(S.dims.map((_, i) => [i, null]), DEFAULT));
  $('by-density').addEventListener('click', () => { colour('density'); sentence(); keep(); });
  $('by-discretion').addEventListener('click', () => { colour('discretion'); sentence(); keep(); });
  $('to-all').addEventListener('click', () => scale('all'));
  $('to-own').addEventListener('click', () => scale('own'));
  $('pin-it').addEventListener('click', pin);
  $('save').addEventListener('click', () => { if (!refused()) $('keep').showModal(); });
  $('numbers').addEventListener('toggle', () => { if ($('numbers').open) numbers(); });
  $('copy').addEventListener('click', async () => {
    try { await navigator.clipboard.writeText(location.href); toast('Link copied.'); } catch { toast('Copying is blocked here: take it from the address bar.'); }
  });
  $('judged-by')?.addEventListener('submit', event => {
    event.preventDefault();
    const kept = filterQuery().split('&').filter(part => part && !part.startsWith('annotator='));
    location.search = [`annotator=${event.target.elements.annotator.value}`, ...kept].join('&');
  });
  for (const button of document.querySelectorAll('dialog [data-close]')) button.addEventListener('click', () => button.closest('dialog').close());
  let size = 0;
  addEventListener('resize', () => { cancelAnimationFrame(size); size = requestAnimationFrame(() => { plane.lay(); all(); }); });
  for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)']) matchMedia(query).addEventListener('change', () => { theme(); plane.legend(); all(); });
}

/* ---------- start ---------- */
function build() {
  new Chart(0, $('at-x'), { ticks: false });
  new Chart(1, $('at-y'), { vertical: true, ticks: false });
  S.dims.forEach((d, i) => {
    if (i < 2 || d.key === 'reading') return;
    const isAlike = S.totals[i].filter(Boolean).length < 2;
    if (isAlike && HIDDEN_WHEN_ALIKE.has(d.key) && !S.filters[i]) return;
    const host = el('section', { className: 'dim', 'aria-labelledby': `d-${d.key}` });
    $('dims').append(host);
    if (isRange(d)) new Chart(i, host); else new Cats(i, host, SHOWN[d.key]);
  });
}
async function begin() {
  const first = Number(new URLSearchParams(location.search).get('pair'));
  S.scope = url.scope;
  theme();
  start({
    ready: ms => { S.loadMs = ms; performance.mark('columns-ready'); $('state').textContent = $('state').dataset.ready; },
    changed: dirty,
    settled: later,
    failed: problem,
  });
  const response = await fetch(url.summary);
  if (!response.ok) { problem(`The board could not be loaded (${response.status}). Reload the page.`); return; }
  const { header, totals, plane: cells } = await response.json();
  Object.assign(S, { rows: header.rows, version: header.version, dims: header.dims, readings: header.readings, edges: header.edges });
  S.dims.forEach((d, i) => { S.at[d.key] = i; S.filters[i] = null; S.stamps[i] = 0; S.totals[i] = Uint32Array.from(totals[d.key]); });
  S.planeTotal = Uint32Array.from(cells);
  // Where the server did not know all of the address, it says what it went by.
  fromQuery(new URLSearchParams(url.asked ?? location.search));
  plane.setUp();
  build();
  plane.lay();
  readings();
  wire();
  colour(S.colour);
  if (!S.filters.some(Boolean)) { S.totals.forEach((t, i) => { S.hist[i] = t; }); S.planeNow = S.planeTotal; S.selected = S.rows; }
  loaded = tableQuery();
  sentence();
  paint();
  performance.mark('board-painted');
  want(S.filters[0] || S.filters[1] ? 'plane' : DEFAULT);
  await settled();
  performance.mark('board-live');
  root.dataset.live = '1';
  if (first) open(first, false);
}
begin();
window.board = { S, setFilters, settled, want, filterQuery };
