/* Cubes from the worker, subtraction here. One request in flight; the latest wish wins. */
import { S, interval, runs } from './filters.js';
import { kept, worker } from './ahead.js';

const excluded = dim => (dim === 'plane' ? [0, 1] : [dim]);
const isValid = c => !!c && S.stamps.every((v, i) => excluded(c.dim).includes(i) || v === c.stamps[i]);
const X = { cube: null, used: null, wanted: null, inFlight: null, seq: 0, isReady: false, buffers: {} };
let waiters = [], tell = {};

/* Listen to the engine that ahead.js started. `on` has ready(ms), changed(), settled(), failed(message). */
export function start(on) {
  tell = on;
  worker.onerror = e => tell.failed(`The board could not start: ${e.message}`);
  worker.onmessage = ({ data: m }) => {
    if (m.type === 'error') tell.failed(m.message);
    else if (m.type === 'ready') { X.isReady = true; tell.ready(m.ms); pump(); }
    else arrived(m);
  };
  for (const event of kept) (event.type === 'error' ? worker.onerror : worker.onmessage)(event);
}
function arrived(m) {
  const asked = X.inFlight;
  X.inFlight = null;
  if (X.cube) X.used = [X.cube.cube, X.cube.plane];
  X.cube = { ...m, stamps: asked.stamps };
  S.lastBuild = m.ms;
  if (isValid(X.cube)) { compute(); tell.changed(); } else if (X.wanted === null) X.wanted = m.dim;
  pump();
  if (!X.inFlight) { waiters.splice(0).forEach(go => go()); tell.settled(); }
}
const isComing = dim => !!X.inFlight && X.inFlight.dim === dim && isValid(X.inFlight);
export const isSettled = () => X.isReady && !X.inFlight && X.wanted === null && isValid(X.cube);
export const settled = () => new Promise(go => { if (isSettled()) go(); else waiters.push(go); });
export const planeKey = () => (X.cube && !X.cube.moving && isValid(X.cube) ? `c${X.cube.seq}` : `g${S.generation}`);

/* Ask for the cube of a dimension (or of the plane) before its brush moves. */
export function want(dim) {
  if (isComing(dim)) { X.wanted = null; return; }
  if (isValid(X.cube) && X.cube.dim === dim) return;
  X.wanted = dim;
  pump();
}
function pump() {
  if (!X.isReady || X.inFlight || X.wanted === null || !S.dims.length) return;
  const dim = X.wanted, recycle = X.used || [];
  X.wanted = X.used = null;
  X.inFlight = { dim, stamps: S.stamps.slice() };
  worker.postMessage({ type: 'cube', seq: ++X.seq, dim, filters: S.filters, recycle }, recycle.map(a => a.buffer));
}

/* changes: [[dimension, filter or null], …]; dim: what is being brushed. */
export function setFilters(changes, dim) {
  for (const [d, f] of changes) { S.filters[d] = f; S.stamps[d]++; }
  if (isValid(X.cube) && changes.every(([d]) => excluded(X.cube.dim).includes(d))) compute();
  else if (isComing(dim)) X.wanted = null;
  else { X.wanted = dim; pump(); }
  tell.changed();
}

const buffer = (name, n) => { const a = (X.buffers[name] ||= new Uint32Array(n)); a.fill(0); return a; };
function compute() {
  if (X.cube.dim === 'plane') computePlane(X.cube); else computeOne(X.cube);
  S.generation++;
}
function computeOne(c) {
  const { dims } = S, { W, dim } = c, vec = buffer('vec', W), all = S.planeTotal.length, rs = runs(dims[dim], S.filters[dim]);
  for (const [a, b] of rs) {
    const p = a * W, q = b * W;
    for (let i = 0; i < W; i++) vec[i] += c.cube[q + i] - c.cube[p + i];
  }
  S.planeNow = c.plane;
  if (c.moving) {
    const out = buffer('plane', all);
    for (const [a, b] of rs) {
      const p = a * all, q = b * all;
      for (let i = 0; i < all; i++) out[i] += c.plane[q + i] - c.plane[p + i];
    }
    S.planeNow = out;
  }
  S.selected = 0;
  for (const [a, b] of rs) for (let i = a; i < b; i++) S.selected += c.own[i];
  dims.forEach((d, e) => { S.hist[e] = e === dim ? c.own : vec.subarray(c.off[e], c.off[e] + d.slots); });
}
function computePlane(c) {
  const { dims } = S, { W } = c, vec = buffer('vec', W), A = c.cube, P = c.plane;
  const sx = dims[0].slots, sy = dims[1].slots, cells = sx * sy, layers = dims[2].slots, row = (sy + 1) * W;
  const [x0, x1] = interval(dims[0], S.filters[0]), [y0, y1] = interval(dims[1], S.filters[1]);
  const p11 = x1 * row + y1 * W, p01 = x0 * row + y1 * W, p10 = x1 * row + y0 * W, p00 = x0 * row + y0 * W;
  for (let i = 0; i < W; i++) vec[i] = A[p11 + i] - A[p01 + i] - A[p10 + i] + A[p00 + i];
  const hx = buffer('x', sx), hy = buffer('y', sy);
  S.selected = 0;
  for (let x = 0, k = 0; x < sx; x++) {
    const isInX = x >= x0 && x < x1;
    for (let y = 0; y < sy; y++, k++) {
      let n = 0;
      for (let q = 0; q < layers; q++) n += P[k + q * cells];
      if (y >= y0 && y < y1) { hx[x] += n; if (isInX) S.selected += n; }
      if (isInX) hy[y] += n;
    }
  }
  S.planeNow = P;
  dims.forEach((d, e) => { S.hist[e] = e === 0 ? hx : e === 1 ? hy : vec.subarray(c.off[e], c.off[e] + d.slots); });
}
