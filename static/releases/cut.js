/* Difficulty cuts of a draft: sizes of models and a slider write into the field of shares, and the chart follows the hand.
   The server counts when the hand rests. Without this script the field alone does it. */
const $ = selector => document.querySelector(selector);
const field = $('#id_cuts'), sizes = $('#capacities'), row = $('#cut-slider'), range = $('#cut-range'), said = $('#cut-said');
const SVG = 'http://www.w3.org/2000/svg', number = new Intl.NumberFormat('en');

const parts = () => field.value.split(/[\n,]/).map(part => part.trim()).filter(Boolean);
/* Shares without a name; those for a model of their own, as small=MODEL:64, are left alone. */
const shares = () => parts().filter(part => !part.includes('=')).flatMap(part => part.replaceAll('%', ' ').split(/\s+/)).filter(Boolean);
const named = () => parts().filter(part => part.includes('='));
const largest = () => Math.max(...shares().map(Number).filter(value => value > 0 && value < 100), 0) || 100;
function write(list) {
  const all = [...[...new Set(list)].sort((a, b) => a - b), ...named()];
  field.value = all.join(named().length ? '\n' : ', ');
}
const tell = kind => field.dispatchEvent(new Event(kind, { bubbles: true }));

function read() {
  const now = shares();
  for (const box of sizes.querySelectorAll('input')) box.checked = now.includes(box.value);
  const value = largest();
  range.value = value;
  said.textContent = `${value} %`;
  range.setAttribute('aria-valuetext', value === 100 ? 'No cut' : `${value} %`);
  /* A cut for a model of its own may be the one that is drawn, and the slider would move another. */
  row.hidden = !$('#chart svg') || named().length > 0;
}

/* Where the share ends, as far as the bars tell; the server says it to the last pair. */
function draw(share) {
  const chart = $('#chart svg');
  if (!chart) return;
  const counts = chart.dataset.counts.split(',').map(Number), total = counts.reduce((a, b) => a + b, 0), kept = Math.floor(total * share / 100 + 1e-9);
  let before = 0, at = 1;
  for (let n = 0; n < counts.length; n++) {
    if (before + counts[n] >= kept) { at = (n + (counts[n] ? (kept - before) / counts[n] : 0)) / counts.length; break; }
    before += counts[n];
  }
  let line = chart.querySelector('.cutline.largest'), text = chart.querySelector('.lab.largest');
  if (!line) {
    line = chart.appendChild(document.createElementNS(SVG, 'line'));
    text = chart.appendChild(document.createElementNS(SVG, 'text'));
    for (const [name, value] of [['class', 'cutline largest'], ['y1', 0], ['y2', 146]]) line.setAttribute(name, value);
    for (const [name, value] of [['class', 'lab largest'], ['y', 12]]) text.setAttribute(name, value);
  }
  const low = Number(chart.dataset.low), high = Number(chart.dataset.high), x = `${100 * at}%`;
  for (const end of ['x1', 'x2']) line.setAttribute(end, x);
  text.setAttribute('x', x);
  text.setAttribute('dx', at > .7 ? -8 : 8);
  text.setAttribute('text-anchor', at > .7 ? 'end' : 'start');
  text.textContent = share < 100 ? `${share} %: ${(low + at * (high - low)).toPrecision(3).replace('-', '−')}` : '';
  line.style.display = share < 100 ? '' : 'none';
  chart.querySelectorAll('.bar').forEach((bar, n) => bar.classList.toggle('out', n / counts.length > at));
  $('#chart [data-kept]').textContent = number.format(kept);
  $('#chart [data-gone]').textContent = number.format(total - kept);
}

range.addEventListener('input', () => {
  const value = Number(range.value), before = largest();
  write([...shares().filter(share => Number(share) !== before), ...(value < 100 ? [String(value)] : [])]);
  read();
  draw(value);
  tell('input');
});
sizes.addEventListener('change', event => {
  const { value, checked } = event.target;
  write(checked ? [...shares(), value] : shares().filter(share => share !== value));
  read();
  if (!row.hidden) draw(largest());
  tell('input');
});
field.addEventListener('input', read);
/* The chart comes anew with every count. */
document.addEventListener('htmx:afterSettle', read);
sizes.hidden = false;
read();
