/* What every part of the page uses: finding elements, saying things, keeping things in this browser. */
export const $ = (s, el = document) => el.querySelector(s);
export const $$ = (s, el = document) => [...el.querySelectorAll(s)];
export const el = (tag, props = {}, ...kids) => { const n = Object.assign(document.createElement(tag), props); n.append(...kids); return n; };
export const cfg = document.body.dataset, editing = 'editing' in cfg, form = $('#judging'), note = $('#note');
export const nonce = $('script[nonce]')?.nonce;
const live = $('[data-live]');
export const say = t => { live.textContent = ''; requestAnimationFrame(() => { live.textContent = t; }); };
export const alerted = t => { $('[data-alert]').textContent = t; };
const parse = (text, otherwise) => { try { return JSON.parse(text) ?? otherwise; } catch { return otherwise; } };
export const embedded = id => parse(document.getElementById(id)?.textContent, null);
/* What the scripts say, in the language of the page, which brings the texts along (annotation/wording.py). A text with a
   number has as many forms as the language; `plural` says which one goes with which number. */
export const lang = document.documentElement.lang;
const TEXTS = embedded('texts');
const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (all, name) => values[name] ?? all);
export const phrase = (name, values = {}) => fill(TEXTS[name], values);
export const counted = (name, n) => fill(TEXTS[name][TEXTS.plural[n < 100 ? n : 100 + n % 100]], { n });
export const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
/* How the page stands on this screen, as judge.css lays it out, and whether fingers are at work: told with each answer. */
export const view = () => (matchMedia('(min-width: 75em) and (min-height: 35em)').matches ? 'wide' : matchMedia('(min-width: 56.25em)').matches ? 'medium' : 'narrow') + (matchMedia('(pointer: coarse)').matches ? ' touch' : '');
export const clockTime = ms => new Date(ms).toLocaleTimeString(lang, { hour: '2-digit', minute: '2-digit' });
/* crypto.randomUUID is missing on plain http. */
export const uuid = () => { const b = crypto.getRandomValues(new Uint8Array(16)); b[6] = b[6] & 15 | 64; b[8] = b[8] & 63 | 128; return [...b].map((n, i) => ([4, 6, 8, 10].includes(i) ? '-' : '') + n.toString(16).padStart(2, '0')).join(''); };

/* What this browser keeps, per annotator. A browser may refuse (a private window, no room left): then it is kept in this
   window as long as that is open, and `set` says so. */
const memory = new Map();
export const store = {
  name: k => `plumbline:${cfg.me}:${k}`,
  get: (k, otherwise = null) => { try { return parse(memory.get(k) ?? localStorage.getItem(store.name(k)), otherwise); } catch { return otherwise; } },
  set: (k, v) => { const text = JSON.stringify(v); try { localStorage.setItem(store.name(k), text); memory.delete(k); return true; } catch { memory.set(k, text); return false; } },
  drop: k => { memory.delete(k); try { localStorage.removeItem(store.name(k)); } catch { /* blocked: there is nothing to drop */ } },
  all: start => { let kept = []; try { kept = Object.keys(localStorage).filter(k => k.startsWith(store.name(start))).map(k => k.slice(store.name('').length)); } catch { /* blocked: nothing is kept */ } return [...new Set([...memory.keys()].filter(k => k.startsWith(start)).concat(kept))]; },
  /* Whether something of that name goes with this window. */
  unkept: start => [...memory.keys()].some(k => k.startsWith(start)),
};
/* What one page tells the next. */
export const passed = {
  get: () => { try { const t = sessionStorage.getItem('plumbline:said'); sessionStorage.removeItem('plumbline:said'); return parse(t, null); } catch { return null; } },
  set: v => { try { sessionStorage.setItem('plumbline:said', JSON.stringify(v)); } catch { /* the answer is saved; only the echo is lost */ } },
};
/* What buttons and keys do, by name: each part adds its own. */
export const ACTS = {};
