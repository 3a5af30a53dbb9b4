/* Brushable histograms, and bars of categories. Number inputs, handles and buttons: everything also by keyboard. */
import { S, brushOf, edge, el, fmt, interval, isOn, isUnknownOnly, label, nPairs, nearest, parts, show, span, sum, unknownOnly } from './filters.js';
import { setFilters, want } from './cubes.js';
import { C } from './colours.js';

export const charts = [];
export function fit(canvas, w, h) {
  const r = Math.min(2, devicePixelRatio || 1), W = Math.round(w * r), H = Math.round(h * r);
  if (canvas.width !== W || canvas.height !== H) { canvas.width = W; canvas.height = H; }
  const pen = canvas.getContext('2d');
  pen.setTransform(r, 0, 0, r, 0, 0);
  pen.clearRect(0, 0, w, h);
  return pen;
}
/* A cube is wanted where a hand or the focus comes near. */
function wantSoon(host, i) {
  let timer = 0;
  host.addEventListener('pointerenter', () => { timer = setTimeout(() => want(i), 50); });
  host.addEventListener('pointerleave', () => clearTimeout(timer));
  host.addEventListener('focusin', () => want(i));
}
const clearButton = d => el('button', { type: 'button', className: 'x', textContent: '×', 'aria-label': `Clear ${d.label}` });

export class Chart {                                   // `vertical`: the plane's y margin
  constructor(i, host, { vertical = false, ticks = true } = {}) {
    const d = S.dims[i], id = `d-${d.key}`;
    Object.assign(this, { i, d, vertical });
    const input = (end, name) => el('input', { type: 'number', step: 'any', inputMode: 'decimal', id: `${id}-${end}`, 'aria-label': `${d.label}, ${name}` });
    this.from = input('from', 'from');
    this.to = input('to', 'to');
    this.clear = clearButton(d);
    this.range = el('span', { className: 'range' }, this.clear, this.from, '–', this.to);
    this.canvas = el('canvas', { role: 'img', 'aria-labelledby': id, 'aria-describedby': `${id}-said` });
    this.low = this.handle('lower');
    this.high = this.handle('upper');
    this.brush = el('div', { className: 'brush', hidden: true });
    this.chart = el('div', { className: 'chart' }, this.canvas, this.brush, this.low, this.high);
    this.said = el('p', { className: 'vh', id: `${id}-said` });
    const title = el('h3', { id, textContent: d.label });
    if (d.unit) title.append(' ', el('span', { className: 'unit', textContent: d.unit }));
    host.append(el('div', { className: 'dim-head' }, title, this.range), this.chart);
    if (ticks) host.append(this.ticks());
    if (d.slots > d.bins) host.append(this.unknown = el('button', { type: 'button', className: 'more unknown', hidden: true, 'aria-pressed': 'false' }));
    host.append(this.said);
    if (vertical) host.classList.add('v');
    this.events();
    charts.push(this);
  }
  handle(which) {
    return el('div', { className: 'h', tabIndex: 0, role: 'slider', 'aria-label': `${this.d.label}, ${which} edge`, 'aria-orientation': this.vertical ? 'vertical' : 'horizontal' });
  }
  ticks() {
    const { d } = this, box = el('div', { className: 'ticks', 'aria-hidden': 'true' });
    const put = (at, text, className) => { const tick = el('span', { textContent: text, className }); tick.style.left = `${at * 100}%`; box.append(tick); };
    if (d.kind === 'count') for (let b = 0; b < d.bins; b++) put((b + .5) / d.bins, `${d.lo + b}${b === d.bins - 1 ? '+' : ''}`, 'mid');
    else for (const t of [0, .25, .5, .75, 1]) put(t, show(d, d.lo + t * (d.hi - d.lo)), '');
    return box;
  }
  size() { const r = this.chart.getBoundingClientRect(); this.w = r.width; this.tall = r.height; }
  bin(e) {
    const r = this.box || this.chart.getBoundingClientRect();
    return (this.vertical ? 1 - (e.clientY - r.top) / r.height : (e.clientX - r.left) / r.width) * this.d.bins;
  }
  set(a, b) { setFilters([[this.i, span(this.d, a, b)]], this.i); }
  current() { return brushOf(this.d, S.filters[this.i]) || [0, this.d.bins]; }
  events() {
    const { d, chart } = this;
    let drag = null;
    wantSoon(chart, this.i);
    chart.addEventListener('pointerdown', e => {
      if (e.button) return;
      this.box = chart.getBoundingClientRect();
      want(this.i);
      const at = this.bin(e), now = this.current();
      const kind = e.target === this.low ? 'low' : e.target === this.high ? 'high' : e.target === this.brush ? 'move' : 'new';
      drag = { kind, now, at };
      chart.setPointerCapture(e.pointerId);
      if (kind !== 'new') this.drag(e, drag);
      e.preventDefault();
      if (e.target.tabIndex >= 0) e.target.focus({ preventScroll: true });
    });
    chart.addEventListener('pointermove', e => { if (drag) this.drag(e, drag); });
    const end = () => { drag = null; this.box = null; };
    chart.addEventListener('pointerup', e => {
      if (drag && drag.kind === 'new' && Math.abs(this.bin(e) - drag.at) < .35) d.kind === 'count' ? this.drag(e, drag) : this.set(0, d.bins);
      end();
    });
    chart.addEventListener('pointercancel', end);
    chart.addEventListener('dblclick', () => this.set(0, d.bins));
    this.low.addEventListener('keydown', e => this.key(e, false));
    this.high.addEventListener('keydown', e => this.key(e, true));
    this.clear.addEventListener('click', () => { this.set(0, d.bins); this.from.focus(); });
    const typed = () => {
      const a = parseFloat(this.from.value), b = parseFloat(this.to.value);
      if (!Number.isNaN(a) && !Number.isNaN(b)) d.kind === 'count' ? this.set(a - d.lo, b - d.lo + 1) : this.set(nearest(d, a), nearest(d, b));
      this.text(true);
    };
    this.from.addEventListener('change', typed);
    this.to.addEventListener('change', typed);
    this.unknown?.addEventListener('click', () => setFilters([[this.i, isUnknownOnly(d, S.filters[this.i]) ? null : unknownOnly(d)]], this.i));
  }
  key(e, isHigh) {
    const { d } = this, [a, b] = this.current(), big = e.shiftKey || e.key.startsWith('Page') ? Math.ceil(d.bins / 10) : 1;
    const go = { ArrowRight: big, ArrowUp: big, PageUp: big, ArrowLeft: -big, ArrowDown: -big, PageDown: -big }[e.key];
    if (go) isHigh ? this.set(a, Math.max(a + 1, b + go)) : this.set(Math.min(b - 1, a + go), b);
    else if (e.key === 'Home') isHigh ? this.set(a, a + 1) : this.set(0, b);
    else if (e.key === 'End') isHigh ? this.set(a, d.bins) : this.set(b - 1, b);
    else if (e.key === 'Escape') this.set(0, d.bins);
    else return;
    e.preventDefault();
  }
  drag(e, g) {
    const at = this.bin(e), n = this.d.bins, [lo, hi] = g.now;
    if (g.kind === 'new') {
      const a = Math.min(g.at, at), b = Math.max(g.at, at);
      if (this.d.kind === 'count') this.set(Math.floor(a), Math.floor(b) + 1); else this.set(Math.round(a), Math.round(b));
    } else if (g.kind === 'low') this.set(Math.min(Math.round(at), hi - 1), hi);
    else if (g.kind === 'high') this.set(lo, Math.max(Math.round(at), lo + 1));
    else { const a = Math.max(0, Math.min(n - (hi - lo), Math.round(lo + at - g.at))); this.set(a, a + hi - lo); }
  }
  text(force) {                                        // brush, handles, inputs
    const { d } = this, f = S.filters[this.i], known = brushOf(d, f), [a, b] = known || [0, d.bins], key = `${a},${b},${!!f}`;
    if (this.last === key && !force) return;
    this.last = key;
    const at = v => `${v / d.bins * 100}%`;
    this.brush.hidden = !known;
    const put = this.vertical
      ? [[this.brush, 'top', d.bins - b], [this.brush, 'height', b - a], [this.low, 'top', d.bins - a], [this.high, 'top', d.bins - b]]
      : [[this.brush, 'left', a], [this.brush, 'width', b - a], [this.low, 'left', a], [this.high, 'left', b]];
    for (const [node, side, v] of put) node.style[side] = at(v);
    this.chart.classList.toggle('on', !!f);
    this.range.classList.toggle('on', !!f);
    const A = edge(d, a), B = d.kind === 'count' ? d.lo + b - 1 : edge(d, b), top = d.kind === 'count' ? d.lo + d.bins - 1 : d.hi;
    const typed = v => (d.kind === 'count' ? String(v) : v.toFixed(d.places));
    if (force || document.activeElement !== this.from) this.from.value = typed(A);
    if (force || document.activeElement !== this.to) this.to.value = typed(B);
    for (const [node, v, min, max] of [[this.low, A, d.lo, B], [this.high, B, A, top]]) {
      for (const [name, value] of [['min', min], ['max', max], ['now', v]]) node.setAttribute(`aria-value${name}`, +value.toFixed(4));
    }
    this.unknown?.setAttribute('aria-pressed', isUnknownOnly(d, f));
  }
  draw() {
    if (!this.w) this.size();
    const { d, vertical: v } = this, n = d.bins, T = S.totals[this.i], H = S.hist[this.i], f = S.filters[this.i];
    const length = v ? this.tall : this.w, room = v ? this.w : this.tall, pen = fit(this.canvas, this.w, this.tall);
    let most = 1, mostNow = 1;
    for (let i = 0; i < n; i++) {
      if (T[i] > most) most = T[i];
      if (H && (!f || f[i]) && H[i] > mostNow) mostNow = H[i];
    }
    const scale = (room - 2) / most, scaleNow = S.scale === 'own' ? (room - 2) / mostNow : scale, gap = d.kind === 'count' ? 2 : 0;
    const put = (i, len) => {
      const p = Math.round(i * length / n) + gap, q = Math.round((i + 1) * length / n) - gap;
      if (v) pen.fillRect(0, length - q, len, q - p); else pen.fillRect(p, room - len, q - p, len);
    };
    pen.fillStyle = C.pale;
    for (let i = 0; i < n; i++) put(i, T[i] * scale);
    if (H) {
      pen.fillStyle = C.accent;
      if (f) {
        pen.globalAlpha = .32;
        for (let i = 0; i < n; i++) if (!f[i]) put(i, Math.min(room, H[i] * scaleNow));
        pen.globalAlpha = 1;
      }
      for (let i = 0; i < n; i++) if (!f || f[i]) put(i, H[i] * scaleNow);
    }
    this.line(pen, T, scale, C['line-strong'], 1, length, room, gap);
    if (S.pin) {
      const P = S.pin.hist[this.i];
      let most = 1;
      for (let i = 0; i < n; i++) if (P[i] > most) most = P[i];
      this.line(pen, P, S.scale === 'own' ? (room - 2) / most : scale * (S.selected / Math.max(1, S.pin.n)), C.b, 1.75, length, room, gap);
    }
    if (this.unknown) {
      const total = T[d.bins], text = `${fmt(H ? H[d.bins] : total)} unknown`;
      this.unknown.hidden = !total;
      if (this.unknown.textContent !== text) this.unknown.textContent = text;
    }
  }
  line(pen, A, k, colour, width, length, room, gap) {
    const n = this.d.bins;
    pen.beginPath();
    for (let i = 0; i < n; i++) {
      const p = Math.round(i * length / n) + gap, q = Math.round((i + 1) * length / n) - gap, y = Math.min(room - .5, A[i] * k) + .5;
      const point = at => (this.vertical ? [y, length - at] : [at, room - y]);
      if (gap || !i) pen.moveTo(...point(p));
      pen.lineTo(...point(p));
      pen.lineTo(...point(q));
    }
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.stroke();
  }
  describe() {                                         // for who hears the page
    const { d } = this, H = S.hist[this.i], f = S.filters[this.i], [from, to] = interval(d, f);
    let n = 0, sum = 0, median = null;
    for (let b = from; b < Math.min(to, d.bins); b++) n += H[b];
    for (let b = from; b < Math.min(to, d.bins) && median === null; b++) { sum += H[b]; if (n && sum >= n / 2) median = b; }
    const middle = median === null ? 'nothing is known' : `median ${show(d, edge(d, median))}`;
    const unknown = d.slots > d.bins && S.totals[this.i][d.bins] ? ` ${fmt(H[d.bins])} unknown.` : '';
    this.said.textContent = `${d.label}: ${f ? 'filtered' : 'no filter'}. ${nPairs(n)}; ${middle}.${unknown}`;
    for (const node of [this.low, this.high]) node.setAttribute('aria-valuetext', `${show(d, +node.getAttribute('aria-valuenow'))}, ${nPairs(n)}`);
  }
}

export class Cats {                                    // category bars: toggle buttons, so the keyboard comes free
  constructor(i, host, shown = 99) {
    const d = S.dims[i], id = `d-${d.key}`;
    Object.assign(this, { i, d, bars: [], parts: parts(d) });
    this.clear = clearButton(d);
    this.clear.dataset.off = '';
    this.list = el('div', { className: 'cats', role: 'group', 'aria-labelledby': id });
    this.said = el('p', { className: 'vh' });
    host.append(el('div', { className: 'dim-head' }, el('h3', { id, textContent: d.label }), this.clear), this.list, this.said);
    const T = this.parts.map(part => sum(S.totals[i], part)), order = [...T.keys()].filter(b => T[b] || d.key === 'discretion');
    if (d.key !== 'discretion') order.sort((a, b) => T[b] - T[a]);
    order.forEach((b, at) => this.bar(b, at >= shown));
    if (order.length > shown) host.append(this.more(order.slice(shown)));
    wantSoon(host, i);
    this.clear.addEventListener('click', () => { setFilters([[i, null]], i); this.list.querySelector('button').focus(); });
    charts.push(this);
  }
  bar(b, hidden) {
    const { i, d } = this, part = this.parts[b], all = el('i', { className: 'all' }), sel = el('i', { className: 'sel' }), n = el('span', { className: 'count-n' });
    const name = el('span', { className: 'name', textContent: part.name, dir: 'auto', title: part.name });
    const button = el('button', { type: 'button', className: `cat${d.key === 'discretion' ? ` t${b}` : ''}`, 'aria-pressed': 'false', hidden }, name, el('span', { className: 'lane', 'aria-hidden': 'true' }, all, sel), n);
    button.addEventListener('click', () => {
      const now = S.filters[i], f = now ? now.slice() : new Uint8Array(d.slots), isOff = isOn(now, part);
      for (const slot of part.slots) f[slot] = isOff ? 0 : 1;
      // What another pressed one covers as well stays.
      if (isOff) for (const other of this.parts) if (other !== part && isOn(now, other)) for (const slot of other.slots) f[slot] = 1;
      setFilters([[i, f.includes(1) && f.includes(0) ? f : null]], i);
    });
    this.bars[b] = { button, all, sel, n };
    this.list.append(button);
  }
  more(rest) {
    const button = el('button', { type: 'button', className: 'more', textContent: `${rest.length} more`, 'aria-expanded': 'false' });
    button.addEventListener('click', () => {
      const open = button.getAttribute('aria-expanded') !== 'true';
      button.setAttribute('aria-expanded', open);
      button.textContent = open ? 'Fewer' : `${rest.length} more`;
      rest.forEach(b => { this.bars[b].button.hidden = !open; });
      this.draw();
    });
    return button;
  }
  size() {}
  text() {
    const f = S.filters[this.i], key = f ? f.join('') : '';
    if (this.last === key) return;
    this.last = key;
    this.list.classList.toggle('filtered', !!f);
    if (f) delete this.clear.dataset.off; else this.clear.dataset.off = '';
    this.bars.forEach((bar, b) => bar.button.setAttribute('aria-pressed', isOn(f, this.parts[b])));
  }
  draw() {
    const f = S.filters[this.i], counted = counts => counts && this.parts.map(part => sum(counts, part));
    const T = counted(S.totals[this.i]), H = counted(S.hist[this.i]);
    let most = 1, mostNow = 1;
    this.parts.forEach((part, b) => {
      most = Math.max(most, T[b]);
      if (H && (!f || isOn(f, part))) mostNow = Math.max(mostNow, H[b]);
    });
    this.bars.forEach((bar, b) => {
      if (bar.button.hidden) return;
      const total = T[b] / most;
      if (bar.total !== total) { bar.total = total; bar.all.style.transform = `scaleX(${total})`; }
      if (!H) return;
      const now = Math.min(1, H[b] / (S.scale === 'own' ? mostNow : most));
      if (bar.now !== now) { bar.now = now; bar.sel.style.transform = `scaleX(${now})`; }
      if (bar.value !== H[b]) { bar.value = H[b]; bar.n.textContent = fmt(H[b]); }
    });
  }
  describe() {
    const H = S.hist[this.i];
    this.said.textContent = `${this.d.label}: ${this.bars.map((_, b) => `${this.parts[b].name} ${fmt(sum(H, this.parts[b]))}`).filter(Boolean).join(', ')}.`;
  }
}

/* The numbers behind the charts, for who would rather read them. */
export function tables() {
  return S.dims.map((d, i) => {
    const body = el('tbody');
    for (let b = 0; b < d.slots; b++) {
      if (!S.totals[i][b]) continue;
      const name = d.kind === 'number' && b < d.bins ? `${show(d, edge(d, b))} to ${show(d, edge(d, b + 1))}` : d.kind === 'count' && b < d.bins ? `${d.lo + b}${b === d.bins - 1 ? ' or more' : ''}` : label(d, b);
      body.append(el('tr', {}, el('th', { scope: 'row', textContent: name, dir: 'auto' }), el('td', { className: 'num', textContent: fmt(S.hist[i][b]) }), el('td', { className: 'num', textContent: fmt(S.totals[i][b]) })));
    }
    const heads = el('tr', {}, ...['Value', 'Selection', 'All'].map((textContent, k) => el('th', { scope: 'col', className: k ? 'num' : '', textContent })));
    return el('table', { className: 'numbers' }, el('caption', { textContent: d.label }), el('thead', {}, heads), body);
  });
}
