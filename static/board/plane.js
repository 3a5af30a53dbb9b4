/* The plane: x against agreement, coloured by density or discretion, with a brush of its own and the three readings. */
import { $, S, brushOf, edge, el, fmt, nPairs, show, span } from './filters.js';
import { planeKey, setFilters, want } from './cubes.js';
import { C, mix, place, ramp } from './colours.js';
import { fit } from './charts.js';

const SHORT = { ambiguous: 'ambiguous', hard: 'too hard', mislabelled: 'mislabelled' };
const LONG = { ambiguous: 'ambiguous', hard: 'too hard for this model', mislabelled: 'looks mislabelled' };
export const DASH = { ambiguous: '', hard: '7 4', mislabelled: '2 3' };
const P = { w: 0, h: 0, cell: [1, 1], bitmap: null, image: null, pen: null, cap: 1, drawn: '', box: '' };
const isSmall = () => innerWidth < 900;
const bins = () => [S.dims[0].bins, S.dims[1].bins];
const isMeasured = () => S.dims[0].key === 'difficulty';

export function setUp() {
  const [nx, ny] = bins();
  P.bitmap = el('canvas', { width: nx, height: ny });
  P.pen = P.bitmap.getContext('2d');
  P.image = P.pen.createImageData(nx, ny);
  // The colour domain is fixed by all pairs: it never rescales under the hand.
  const found = [];
  eachCell((k, cells) => {
    let n = 0;
    for (let q = 0; q < S.dims[2].slots; q++) n += S.planeTotal[k + q * cells];
    if (n) found.push(n);
  });
  found.sort((a, b) => a - b);
  const high = found.length ? found[Math.floor(found.length * .985)] : 1, step = 10 ** Math.floor(Math.log10(high));
  P.cap = Math.max(4, Math.ceil(high / step) * step);
  events();
}
function eachCell(visit) {
  const [nx, ny] = bins(), sx = S.dims[0].slots, sy = S.dims[1].slots;
  for (let x = 0; x < nx; x++) for (let y = 0; y < ny; y++) visit(x * sy + y, sx * sy, x, y);
}

export function draw(force) {
  const counts = S.planeNow || S.planeTotal, key = [planeKey(), S.colour, C.isDark, P.w].join();
  if (key === P.drawn && !force) return;
  P.drawn = key;
  const [nx, ny] = bins(), T = S.planeTotal, px = P.image.data, isDensity = S.colour === 'density', layers = S.dims[2].slots;
  eachCell((k, cells, x, y) => {
    const a = counts[k], b = counts[k + cells], c = counts[k + 2 * cells], u = layers > 3 ? counts[k + 3 * cells] : 0;
    const n = a + b + c + u, o = ((ny - 1 - y) * nx + x) * 4;
    if (n === 0) {
      const isGhost = T[k] + T[k + cells] + T[k + 2 * cells] + (layers > 3 ? T[k + 3 * cells] : 0) > 0;
      px[o + 3] = isGhost ? 26 : 0;
      px[o] = px[o + 1] = px[o + 2] = C.isDark ? 255 : 60;
      return;
    }
    const t = n >= P.cap ? 1 : Math.sqrt(n / P.cap), known = a + b + c;
    px[o + 3] = 255;
    let from = ramp, i = (t * 255 | 0) * 3;
    if (!isDensity && known) { from = mix; i = ((t * 15 | 0) * 66 + place[(a * 10 / known + .5 | 0) * 11 + (b * 10 / known + .5 | 0)]) * 3; }
    if (!isDensity && !known) { px[o] = px[o + 1] = px[o + 2] = 128; px[o + 3] = 50 + 120 * t; return; }
    px[o] = from[i]; px[o + 1] = from[i + 1]; px[o + 2] = from[i + 2];
  });
  P.pen.putImageData(P.image, 0, 0);
  const pen = fit($('plane-canvas'), P.w, P.h);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(P.bitmap, 0, 0, P.w, P.h);
}

export function legend() {
  const box = $('legend');
  box.replaceChildren();
  if (S.colour !== 'density') {
    ['consensus', 'conflict', 'indifference', 'unknown'].forEach((name, i) => box.append(el('span', { className: `sw t${i}`, textContent: name })));
    return;
  }
  const strip = el('canvas', { width: 256, height: 1 }), pen = strip.getContext('2d'), image = pen.createImageData(256, 1);
  for (let i = 0; i < 256; i++) { for (let j = 0; j < 3; j++) image.data[i * 4 + j] = ramp[i * 3 + j]; image.data[i * 4 + 3] = 255; }
  pen.putImageData(image, 0, 0);
  // Where few pairs lie in each cell, a quarter of the most is one as well.
  const ends = [...new Set(['1', fmt(Math.round(P.cap / 4)), `${fmt(P.cap)} +`])].map(textContent => el('span', { textContent }));
  box.append('Pairs per cell', el('span', { className: 'ramp' }, strip, el('span', { className: 'ends' }, ...ends)));
}

/* Sizes, axes, regions. */
export function lay() {
  const grid = $('plane-grid'), small = isSmall(), rem = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  const room = grid.parentElement.clientWidth - (small ? 26 + 8 + 30 : 38 * rem + 12 + 100 * rem);
  P.w = Math.max(180, Math.min(900, Math.floor(room / 100) * 100 || room));
  P.h = Math.round(P.w * .7 / 5) * 5;
  const [nx, ny] = bins(), [x, y] = S.dims;
  P.cell = [P.w / nx, P.h / ny];
  grid.style.setProperty('--pw', `${P.w}px`);
  grid.style.setProperty('--ph', `${P.h}px`);
  const ax = $('axis-x'), ay = $('axis-y');
  ax.replaceChildren();
  ay.replaceChildren();
  for (const t of [0, .2, .4, .6, .8, 1]) {
    const tick = el('span', { textContent: (x.lo + t * (x.hi - x.lo)).toFixed(1), className: t === 1 ? 'end' : '' });
    tick.style.left = `${t * 100}%`;
    ax.append(tick);
  }
  ax.append(el('em', { textContent: isMeasured() ? 'Difficulty for the model, percentile of loss →' : 'Preference strength →' }));
  for (let v = Math.ceil(y.lo * 10); v <= 10; v++) {
    const tick = el('span', { textContent: (v / 10).toFixed(1) });
    tick.style.top = `${(1 - (v / 10 - y.lo) / (y.hi - y.lo)) * P.h}px`;
    ay.append(tick);
  }
  ay.append(el('em', { textContent: 'Agreement →' }));
  regions();
  P.box = '';
}
function rectOf(key) {
  const [nx, ny] = bins(), { low, high, hard } = S.edges;
  if (key === 'ambiguous') return [0, nx, 0, low];
  if (!isMeasured()) return null;
  return key === 'hard' ? [hard, nx, high, ny] : [hard, nx, low, high];
}
function regions() {
  const svg = $('regions'), marks = $('marks'), ny = S.dims[1].bins, small = isSmall();
  svg.replaceChildren();
  marks.replaceChildren();
  for (const R of S.readings) {
    const r = rectOf(R.key);
    R.mark = null;
    if (!r) continue;
    const [cx, cy] = P.cell, x = r[0] * cx, w = (r[1] - r[0]) * cx, y = (ny - r[3]) * cy, h = (r[3] - r[2]) * cy;
    for (const kind of ['halo', 'edge']) {
      const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
      for (const [k, v] of Object.entries({ x: x + .75, y: y + .75, width: w - 1.5, height: h - 1.5, class: kind })) rect.setAttribute(k, v);
      if (kind === 'edge' && DASH[R.key]) rect.setAttribute('stroke-dasharray', DASH[R.key]);
      svg.append(rect);
    }
    R.mark = el('button', { type: 'button', 'aria-pressed': 'false' }, el('span', { textContent: (small ? SHORT : LONG)[R.key] }), el('b'));
    R.mark.addEventListener('click', () => R.only());
    R.mark.addEventListener('pointerdown', e => e.stopPropagation());
    const put = R.key === 'ambiguous' ? { left: `${x + 8}px`, bottom: '8px' } : small ? { right: '4px', top: `${y + 4}px` } : { right: `${P.w - x - 1}px`, top: `${y}px` };
    Object.assign(R.mark.style, put);
    marks.append(R.mark);
    R.mark.disabled = R.isReady === false;
    R.drawn = null;
  }
}

export function placeBox() {
  const [nx, ny] = bins(), fx = S.filters[0], fy = S.filters[1];
  const bx = brushOf(S.dims[0], fx), by = brushOf(S.dims[1], fy), isShown = !!(bx || by), key = [bx, by, P.w].join('|');
  if (key === P.box) return;
  P.box = key;
  const box = $('box'), shade = $('shade'), [x0, x1] = bx || [0, nx], [y0, y1] = by || [0, ny], [cx, cy] = P.cell;
  box.hidden = !isShown;
  shade.style.display = isShown ? 'block' : 'none';
  if (!isShown) return;
  const L = x0 * cx, R = x1 * cx, T = (ny - y1) * cy, B = (ny - y0) * cy;
  Object.assign(box.style, { left: `${L}px`, width: `${R - L}px`, top: `${T}px`, height: `${B - T}px` });
  shade.style.clipPath = `path(evenodd, "M0 0H${P.w}V${P.h}H0Z M${L} ${T}H${R}V${B}H${L}Z")`;
}
export function ring(x, y) {
  const pin = $('pin'), [nx, ny] = bins();
  pin.hidden = !(x < nx && y < ny);
  pin.style.left = `${(x + .5) * P.cell[0]}px`;
  pin.style.top = `${(ny - .5 - y) * P.cell[1]}px`;
}

function events() {
  const plane = $('plane'), box = $('box'), [nx, ny] = bins();
  let drag = null, timer = 0, rect = null;
  const at = e => { const r = rect || plane.getBoundingClientRect(); return [(e.clientX - r.left) / r.width * nx, (1 - (e.clientY - r.top) / r.height) * ny]; };
  const set = (a, b, c, d) => setFilters([[0, span(S.dims[0], a, b)], [1, span(S.dims[1], c, d)]], 'plane');
  const now = () => [...(brushOf(S.dims[0], S.filters[0]) || [0, nx]), ...(brushOf(S.dims[1], S.filters[1]) || [0, ny])];
  plane.addEventListener('pointerenter', () => { timer = setTimeout(() => want('plane'), 50); });
  plane.addEventListener('pointerleave', () => { clearTimeout(timer); $('tip').hidden = true; });
  box.addEventListener('focus', () => want('plane'));
  plane.addEventListener('pointerdown', e => {
    if (e.button || e.target.closest('#marks')) return;
    rect = plane.getBoundingClientRect();
    want('plane');
    $('tip').hidden = true;
    const [x, y] = at(e), corner = e.target.className, c = now();
    if (/^(nw|ne|sw|se)$/.test(corner)) drag = { x: corner[1] === 'w' ? c[1] : c[0], y: corner[0] === 'n' ? c[2] : c[3] };
    else if (e.target === box) drag = { move: c, x, y };
    else drag = { x, y, isFresh: true };
    plane.setPointerCapture(e.pointerId);
    e.preventDefault();
  });
  plane.addEventListener('pointermove', e => {
    const [x, y] = at(e);
    if (!drag) tip(e, x, y);
    else if (drag.move) {
      const [a, b, c, d] = drag.move, w = b - a, h = d - c;
      const X = Math.max(0, Math.min(nx - w, Math.round(a + x - drag.x))), Y = Math.max(0, Math.min(ny - h, Math.round(c + y - drag.y)));
      set(X, X + w, Y, Y + h);
    } else set(Math.round(Math.min(drag.x, x)), Math.round(Math.max(drag.x, x)), Math.round(Math.min(drag.y, y)), Math.round(Math.max(drag.y, y)));
  });
  plane.addEventListener('pointerup', e => {
    if (drag && drag.isFresh) { const [x, y] = at(e); if (Math.hypot(x - drag.x, y - drag.y) < .7) set(0, nx, 0, ny); }
    drag = rect = null;
  });
  plane.addEventListener('pointercancel', () => { drag = rect = null; });
  box.addEventListener('keydown', e => {
    const go = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key], [a, b, c, d] = now();
    if (e.key === 'Escape') { set(0, nx, 0, ny); return; }
    if (!go) return;
    e.preventDefault();
    const [x, y] = go;
    if (e.shiftKey) set(a, Math.max(a + 1, b + x), c, Math.max(c + 1, d + y));
    else if (a + x >= 0 && b + x <= nx && c + y >= 0 && d + y <= ny) set(a + x, b + x, c + y, d + y);
  });
}
function tip(e, atX, atY) {
  const t = $('tip'), [nx, ny] = bins(), x = Math.floor(atX), y = Math.floor(atY), [dx, dy] = S.dims;
  t.hidden = !S.planeNow || !!e.target.closest('#marks') || x < 0 || x >= nx || y < 0 || y >= ny;
  if (t.hidden) return;
  const cells = dx.slots * dy.slots, k = x * dy.slots + y;
  let n = 0;
  for (let q = 0; q < S.dims[2].slots; q++) n += S.planeNow[k + q * cells];
  t.textContent = `${nPairs(n)} · ${dx.label.toLowerCase()} ${show(dx, edge(dx, x))} · agreement ${show(dy, edge(dy, y))}`;
  const isRight = x > nx * .55, [cx, cy] = P.cell;
  t.style.left = isRight ? '' : `${(x + 2) * cx}px`;
  t.style.right = isRight ? `${(nx + 1 - x) * cx}px` : '';
  t.style.top = `${Math.max(2, (ny - y) * cy - 30)}px`;
}
