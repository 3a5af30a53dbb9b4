/* Two devices wrote in one draft: this page goes on with its own, is not sent over the other one, and offers it. */
import { $, ACTS, el, phrase, say } from './kit.js';
import { stand, unstand } from './server.js';

/* What the server stores of one draft, and what this page may replace: the version that it shows (`base`), and those that
   it sent since without hearing of them. Those that it has replaced are `past`: a page that was made while a draft was
   being stored still brings one of them. Two devices never give the same number. */
export class Versions {
  base = 0; tried = []; past = [];
  start(base, tried, past) { this.base = base || 0; this.tried = tried || []; this.past = past || []; }
  beyond() { return [this.base, ...this.tried]; }
  next() { const made = Math.max(...this.beyond(), Date.now() * 1000 + Math.floor(Math.random() * 1000)) + 1; this.tried = [...this.tried, made].slice(-100); return made; }
  /* Answers may come in another order than they were asked for. */
  stored(version) { const were = this.beyond(), past = this.past; this.start(Math.max(this.base, version), this.tried.filter(one => one > version)); this.past = past.concat(were.filter(one => one && !this.beyond().includes(one))).slice(-100); }
  kept() { return { base: this.base, tried: this.tried, past: this.past }; }
  /* Whether a draft that this browser kept was made from what the server has. */
  static ofOurs(local, there) { return local.tried ? [local.base, ...local.tried, ...local.past || []].includes(there) : (local.base ?? local.at) >= there; }
}

/* `other`: { version, draft }. `told` makes lines of words of a draft, `mine` reads this page's. */
let open = null;
export const another = () => open?.other || null;
export function offerOther(one) { open = one; ask(); }
export const ask = () => stand({ about: 'versions', kind: 'kept', text: phrase('other_version'), versions: true });
/* True once: who sends now sends their own, and knows it. */
export function warn() { if (!open || open.warned) return false; open.warned = true; ask(); say(phrase('versions_first')); return true; }
export function settled() { if (!open) return; open = null; unstand('versions'); $('#versions')?.close(); }
const fill = (out, lines) => out.replaceChildren(...lines.filter(Boolean).map(text => el('p', { textContent: text, dir: 'auto' })));
const back = () => ($('[name="verdict"]:checked') || $('#item-heading')).focus({ preventScroll: true });
Object.assign(ACTS, {
  versions: () => { const d = $('#versions'); if (!open || !d || d.open) return; fill($('[data-version-mine]'), open.told(open.mine())); fill($('[data-version-other]'), open.told(open.other.draft)); d.showModal(); },
  keep_mine: () => { const { keep } = open; settled(); keep(); back(); },
  take_other: () => { const { take, other } = open; settled(); take(other); back(); },
});
