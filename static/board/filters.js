/* What is filtered, in bins, in words and in the address. The same rules as curation/filters.py. */

export const S = {
  dims: [], at: {}, rows: 0, version: 0, readings: [], edges: {},
  scope: '', filters: [], stamps: [], totals: [], hist: [], planeTotal: null, planeNow: null, selected: 0,
  sort: '-difficulty', colour: 'density', scale: 'all', pin: null, open: null, generation: 0,
};

export const $ = id => document.getElementById(id);
export function el(tag, props = {}, ...kids) {
  const node = Object.assign(document.createElement(tag), props);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith('aria-') || key === 'role' || key.startsWith('data-')) node.setAttribute(key, value);
  }
  node.append(...kids);
  return node;
}
const numbers = new Intl.NumberFormat('en');
export const fmt = n => numbers.format(n);
export const nPairs = n => `${fmt(n)} ${n === 1 ? 'pair' : 'pairs'}`;
export const percent = v => (v < .0005 ? '0 %' : v < .0995 ? `${(v * 100).toFixed(1)} %` : `${Math.round(v * 100)} %`);

export const isRange = d => d.kind !== 'category';
export const edge = (d, i) => (d.kind === 'number' ? d.lo + i * (d.hi - d.lo) / d.bins : d.lo + i);
export const show = (d, v) => (d.kind === 'count' ? String(v) : v.toFixed(d.places).replace('-', '−'));
export const label = (d, b) => {
  if (b >= d.bins) return 'unknown';
  if (d.key === 'reading') return S.readings[b - 1] ? S.readings[b - 1].name.toLowerCase() : 'none';
  return d.values[b];
};

/* What a category is chosen by: its slots; or names that cover several of them, where a pair can be several things. */
export const parts = d => (d.covers
  ? Object.entries(d.covers).map(([name, slots]) => ({ name, slots }))
  : Array.from({ length: d.slots }, (_, b) => ({ name: label(d, b), slots: [b] })));
export const isOn = (f, part) => !!f && part.slots.every(b => f[b]);
export const sum = (counts, part) => part.slots.reduce((n, b) => n + counts[b], 0);
/* A set of categories by as few names as there are: those that cover several, then what is left, named by `name`. */
function named(d, f, name) {
  const covering = d.covers ? parts(d).filter(part => isOn(f, part)) : [], left = f.slice();
  for (const part of covering) for (const b of part.slots) left[b] = 0;
  return [...covering.map(part => part.name), ...[...left].map((on, b) => (on ? name(b) : '')).filter(Boolean)];
}

/* The interval of slots that a filter lets through; the whole without one. */
export const interval = (d, f) => (f ? [f.indexOf(1), f.lastIndexOf(1) + 1] : [0, d.slots]);
/* The part of it that a brush can show: null without a filter, or where only the unknown passes. */
export function brushOf(d, f) {
  if (!f || f.indexOf(1) >= d.bins) return null;
  return [f.indexOf(1), f.subarray(0, d.bins).lastIndexOf(1) + 1];
}
export const isUnknownOnly = (d, f) => !!f && f.indexOf(1) === d.bins;
export function runs(d, f) {
  if (!f) return [[0, d.slots]];
  const out = [];
  for (let i = 0; i < d.slots; i++) {
    if (!f[i]) continue;
    const start = i;
    while (i < d.slots && f[i]) i++;
    out.push([start, i]);
  }
  return out;
}
export function span(d, a, b) {
  const from = Math.max(0, Math.min(d.bins - 1, a)), to = Math.max(from + 1, Math.min(d.bins, b));
  if (from === 0 && to === d.bins) return null;
  const f = new Uint8Array(d.slots);
  f.fill(1, from, to);
  return f;
}
export function unknownOnly(d) {
  const f = new Uint8Array(d.slots);
  f[d.bins] = 1;
  return f;
}
export const nearest = (d, v) => Math.max(0, Math.min(d.bins, Math.floor((v - d.lo) * d.bins / (d.hi - d.lo) + .5)));

export function words(d, f) {
  if (!isRange(d)) return named(d, f, b => label(d, b)).join(' or ');
  const known = brushOf(d, f);
  if (!known) return 'unknown';
  const [a, b] = known;
  if (d.kind === 'number') return `${show(d, edge(d, a))} to ${show(d, edge(d, b))}`;
  const end = `${d.lo + b - 1}${b === d.bins ? ' or more' : ''}`;
  return b - a === 1 ? end : `${d.lo + a} to ${end}`;
}

/* What encodeURIComponent leaves as it is and the server does not: the two must count the same characters. */
const escaped = text => encodeURIComponent(text).replace(/[!'()*]/g, sign => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
const short = v => String(+v.toFixed(4));
function valueOf(d, f) {
  if (!isRange(d)) {
    return named(d, f, b => (b < d.bins ? d.values[b].replaceAll(',', '%2C') : 'unknown')).map(escaped).join(',');
  }
  if (isUnknownOnly(d, f)) return 'unknown';
  const [a, b] = brushOf(d, f);
  if (a === 0 && b === d.bins) return 'known';
  return d.kind === 'number' ? `${short(edge(d, a))}..${short(edge(d, b))}` : `${d.lo + a}..${d.lo + b - 1}`;
}

/* The filters alone, as the server reads them: one name of a dimension, `replaced`, may say something else. */
export function filterQuery(replaced = {}) {
  const parts = S.scope ? [S.scope] : [];
  S.dims.forEach((d, i) => {
    if (d.key in replaced) parts.push(`${d.key}=${encodeURIComponent(replaced[d.key])}`);
    else if (S.filters[i]) parts.push(`${d.key}=${valueOf(d, S.filters[i])}`);
  });
  return parts.join('&');
}
/* Beyond the limit the server takes no filter: not in an address, not to save it, not for an act. What says so; or nothing. */
export function tooLong(most) {
  const size = filterQuery().length;
  if (size <= most) return '';
  const longest = S.dims.reduce((one, d, i) => (S.filters[i] && valueOf(d, S.filters[i]).length > one.size ? { label: d.label, size: valueOf(d, S.filters[i]).length } : one), { label: '', size: 0 });
  return `This filter is too long: ${fmt(size)} characters, and at most ${fmt(most)} are taken by an address, a saved selection and the buttons. The charts count it; the table and the address stay as they were. Most of it is ${longest.label}: choose fewer of its values.`;
}
export function toQuery() {
  const parts = [filterQuery()];
  if (S.sort !== '-difficulty') parts.push(`sort=${S.sort}`);
  if (S.colour !== 'density') parts.push(`colour=${S.colour}`);
  if (S.open !== null) parts.push(`pair=${S.open}`);
  const text = parts.filter(Boolean).join('&');
  return text ? `?${text}` : '';
}

function read(d, text) {
  if (!isRange(d)) {
    const f = new Uint8Array(d.slots);
    for (const name of text.split(',')) {
      const b = name === 'unknown' && d.slots > d.bins ? d.bins : d.values.indexOf(name.replaceAll('%2C', ','));
      const slots = b >= 0 ? [b] : parts(d).find(part => part.name === name)?.slots;
      for (const slot of slots || []) f[slot] = 1;
    }
    return f.includes(1) && f.includes(0) ? f : null;
  }
  if (d.slots > d.bins && text === 'unknown') return unknownOnly(d);
  if (d.slots > d.bins && text === 'known') { const f = new Uint8Array(d.slots); f.fill(1, 0, d.bins); return f; }
  const found = /^(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)$/.exec(text);
  if (!found) return null;
  const [a, b] = [+found[1], +found[2]];
  return d.kind === 'count' ? span(d, Math.floor(a - d.lo), Math.floor(b - d.lo) + 1) : span(d, nearest(d, a), nearest(d, b));
}
export function fromQuery(params) {
  S.dims.forEach((d, i) => { const text = params.get(d.key); S.filters[i] = text ? read(d, text) : null; S.stamps[i]++; });
  S.sort = params.get('sort') || '-difficulty';
  S.colour = params.get('colour') === 'discretion' ? 'discretion' : 'density';
}
