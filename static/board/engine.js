/* The board's engine. Lives in a Web Worker, owns the columns; the page only subtracts prefix sums.
 *
 * Every row carries a mask: bit d is set when the row fails dimension d's filter. A histogram of dimension e
 * counts the rows whose mask is 0 or exactly bit e (crossfilter's rule: a chart does not filter itself).
 * Before a brush on dimension d moves, one pass over the rows builds a cube: for each slot of d, the histograms of all
 * other dimensions, then prefix sums along d. While the brush moves, every histogram is `cube[hi] - cube[lo]`: the cost
 * does not depend on the rows. The slot behind the last bin holds the rows about which nothing is known. */
'use strict';
let N = 0, D = 0, Mask = Uint16Array, dims = [], cols = [], off = [], W = 0, mask = null, applied = [], zeros = null;

// Cubes are megabytes: used ones come back with the next request.
const pool = new Map();
const take = n => {
  const free = pool.get(n);
  if (!free || !free.length) return new Uint32Array(n);
  const a = free.pop();
  a.fill(0);
  return a;
};
const give = a => {
  if (!a || !a.length) return;
  if (!pool.has(a.length)) pool.set(a.length, []);
  pool.get(a.length).push(a);
};

async function load(url) {
  const began = performance.now();
  const response = await fetch(url, { credentials: 'same-origin' });
  if (!response.ok) throw new Error(`The pairs could not be loaded (${response.status}). Reload the page.`);
  const buffer = await response.arrayBuffer();
  const fetched = performance.now();
  const view = new DataView(buffer);
  if (view.getUint32(0) !== 0x504c4231) throw new Error('The server sent something that is not a board. Reload the page.');
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  N = header.rows;
  dims = header.dims;
  cols = dims.map((_, i) => new Uint8Array(buffer, 8 + length + i * N, N));
  D = dims.length;
  off = [];
  W = 0;
  for (const d of dims) { off.push(W); W += d.slots; }
  W += 1;                                   // one spare place: padding columns count into it
  Mask = D > 16 ? Uint32Array : Uint16Array; // half the memory to read, while a brush is made ready
  mask = new Mask(N);
  applied = dims.map(() => null);
  zeros = new Uint8Array(N);
  return { fetch: fetched - began, parse: performance.now() - fetched, bytes: buffer.byteLength };
}

/* Bring the mask up to date with the page's filters (null, or one byte per slot). Only changed dimensions are touched. */
function sync(filters) {
  for (let d = 0; d < D; d++) {
    const next = filters[d], before = applied[d];
    if (next === before || (next && before && next.every((v, i) => v === before[i]))) continue;
    const bit = 1 << d, keep = ~bit, c = cols[d];
    if (!next) for (let r = 0; r < N; r++) mask[r] &= keep;
    else {
      const fail = Mask.from(next, v => (v ? 0 : bit));
      for (let r = 0; r < N; r++) mask[r] = (mask[r] & keep) | fail[c[r]];
    }
    applied[d] = next;
  }
}

/* Four columns per pass keep the counters in registers and cache, whatever the number of dimensions. */
function count4(A, base, keep, c0, o0, c1, o1, c2, o2, c3, o3) {
  for (let r = 0; r < N; r++) {
    if ((mask[r] & keep) !== 0) continue;
    const o = base[r] * W;
    A[o + o0 + c0[r]]++; A[o + o1 + c1[r]]++; A[o + o2 + c2[r]]++; A[o + o3 + c3[r]]++;
  }
}

function countOthers(A, base, own, skip) {
  const keep = ~own, spare = W - 1, list = [];
  for (let e = 0; e < D; e++) if (!skip.has(e)) list.push(e);
  for (let i = 0; i < list.length; i += 4) {
    const four = [];
    for (let j = 0; j < 4; j++) {
      const e = list[i + j];
      if (e === undefined) four.push(zeros, spare); else four.push(cols[e], off[e]);
    }
    count4(A, base, keep, ...four);
  }
  for (let r = 0; r < N; r++) {             // rows that fail exactly one other filter still show in that filter's own chart
    const m = mask[r] & keep;
    if (m !== 0 && (m & (m - 1)) === 0) {
      const e = 31 - Math.clz32(m);
      A[base[r] * W + off[e] + cols[e][r]]++;
    }
  }
}

const prefix = (A, stride) => { for (let i = stride; i < A.length; i++) A[i] += A[i - stride]; };

/* The plane's cells, by the slots of x, y and colour: the same order as the summary's. */
function shape() {
  const sx = dims[0].slots, sy = dims[1].slots, layers = dims[2].slots;
  return { sx, sy, cells: sx * sy, all: sx * sy * layers };
}

function planeOf(keep) {
  const { sy, cells, all } = shape(), [x, y, q] = cols, P = take(all);
  for (let r = 0; r < N; r++) if ((mask[r] & keep) === 0) P[q[r] * cells + x[r] * sy + y[r]]++;
  return P;
}

function cubeFor(d) {
  const slots = dims[d].slots, bit = 1 << d, base = cols[d], { sy, cells, all } = shape(), [x, y, q] = cols;
  const A = take((slots + 1) * W), keep = ~bit;
  countOthers(A.subarray(W), base, bit, new Set([d]));
  const own = new Uint32Array(slots);
  for (let r = 0; r < N; r++) if ((mask[r] & keep) === 0) own[base[r]]++;
  prefix(A, W);
  if (d < 2) return { dim: d, W, off, cube: A, own, plane: planeOf(~3), moving: false };
  const P = take((slots + 1) * all), others = ~(3 | bit);
  for (let r = 0; r < N; r++) {
    if ((mask[r] & others) === 0) P[(base[r] + 1) * all + q[r] * cells + x[r] * sy + y[r]]++;
  }
  prefix(P, all);
  return { dim: d, W, off, cube: A, own, plane: P, moving: true };
}

/* The 2-D brush: one cell per (x, y), a summed-area table over both axes, four look-ups per bin while brushing. */
function cubePlane() {
  const { sx, sy } = shape(), [x, y] = cols, A = take((sx + 1) * (sy + 1) * W), cell = new Uint16Array(N);
  for (let r = 0; r < N; r++) cell[r] = (x[r] + 1) * (sy + 1) + y[r] + 1;
  countOthers(A, cell, 3, new Set([0, 1]));
  const row = (sy + 1) * W;
  for (let i = 0; i <= sx; i++) {
    const start = i * row;
    for (let j = start + W; j < start + row; j++) A[j] += A[j - W];
  }
  for (let j = row; j < A.length; j++) A[j] += A[j - row];
  return { dim: 'plane', W, off, cube: A, own: new Uint32Array(0), plane: planeOf(~3), moving: false };
}

onmessage = async ({ data: message }) => {
  try {
    if (message.type === 'load') {
      const ms = await load(message.url);
      postMessage({ type: 'ready', rows: N, ms });
      return;
    }
    const began = performance.now();
    message.recycle.forEach(give);
    sync(message.filters);
    const synced = performance.now(), c = message.dim === 'plane' ? cubePlane() : cubeFor(message.dim);
    const ms = { sync: synced - began, build: performance.now() - synced };
    postMessage({ type: 'cube', seq: message.seq, ...c, ms }, [c.cube.buffer, c.plane.buffer]);
  } catch (error) {
    postMessage({ type: 'error', message: error.message });
  }
};
