/* What is not on the server: answers that wait to be sent, and texts that nobody took. Each answer is kept under its own
   name, so that no window overwrites what another one keeps. */
import { $, ACTS, cfg, counted, lang, phrase, store } from './kit.js';
import { toggle } from './overlays.js';
import { echo, later, locked, post, quietly, stand, unstand } from './server.js';

/* ---- answers that wait ---- */
export const waiting = () => store.all('queue:').length;
/* The oldest first. */
export const queued = () => store.all('queue:').map(k => store.get(k)).filter(Boolean).sort((x, y) => x.at - y.at);
export const enqueue = one => store.set(`queue:${one.key}`, one);
export const dequeue = one => store.drop(`queue:${one.key}`);
export const told = n => store.unkept('queue:') ? counted('answers_in_window', n) : counted('answers_kept', n);
/* What an older page left: all of them under one name. */
if (store.get('queue', []).every(enqueue)) store.drop('queue');

export function deliver(one, held = []) { const p = new URLSearchParams(one.body); held.forEach(id => id && p.append('held', id)); return quietly(post(cfg.judge, p)); }
/* Sends what waits. `heard` is told of each answer that waits no longer; returned are how many are stored now, and what
   stopped the rest: 'later', 'locked', 'closed' or nothing. */
export async function sendWaiting(held = () => [], heard = () => {}) {
  let sent = 0;
  for (const one of queued()) {
    const { status, data } = await deliver(one, held());
    if (later(status)) return { sent, stop: 'later' };
    if (locked(status, data)) return { sent, stop: 'locked' };
    if (status === 423) { stand({ about: 'queue', kind: 'kept', text: data.error }); return { sent, stop: 'closed' }; }
    dequeue(one); store.drop(`draft:${one.assignment}`);
    if (status === 200) { sent += 1; keepUnseen(one, data.unseen); } else { keep(one); if (one.note) offerKept(); else echo(data.error || phrase('kept_not_saved'), { kind: 'kept' }); }
    heard(one, status, data);
  }
  unstand('queue'); return { sent, stop: '' };
}
/* Sooner at first, and never more seldom than every half minute. */
let timer, pause = 2000;
export function soonAgain(what) { clearTimeout(timer); timer = setTimeout(what, pause); pause = Math.min(pause * 2, 30000); }
export function atOnce() { clearTimeout(timer); pause = 2000; }

/* On pages that show no pair of their own to judge. */
export async function sendQuietly(heard) {
  const { sent, stop } = await sendWaiting(undefined, heard); if (sent) echo(counted('answers_sent', sent));
  if (stop === 'later') { stand({ about: 'queue', kind: 'kept', text: told(waiting()) }); soonAgain(() => sendQuietly(heard)); } else atOnce();
  return stop;
}

/* ---- texts that nobody took ---- */
export const wordsOf = form => [form?.note, ...Object.values(form?.edit || {})].filter(Boolean).join('\n\n');
const texts = () => store.get('kept', []);
export function keep({ note, text, at, draft = false, unseen = false }) { if (note) store.set('kept', [...texts(), { note, text, at, draft, unseen }]); }
const all = why => texts().every(k => k[why]);
export function offerKept() { if (texts().length) stand({ about: 'kept', kind: 'kept', text: all('draft') ? phrase('draft_kept') : all('unseen') ? phrase('unseen_kept') : phrase('text_kept'), kept: true }); }
export const keepDraft = (one, draft = true) => keep({ note: wordsOf(one), text: one.verdict ? phrase(one.verdict) : phrase('a_draft'), at: one.at, draft });
/* Another device had a draft of a pair that was answered here, where nobody had seen it: the answer stands, its words are
   offered. */
export function keepUnseen(one, other) {
  const note = wordsOf(other); if (!note || one.note.includes(note)) return;
  keep({ note, text: other.verdict ? phrase(other.verdict) : phrase('a_draft'), at: Date.now(), unseen: true }); offerKept();
}
/* Words about pairs that are in hand no longer: the lease ran out, and the server's draft went with it. The page says
   which ones are. They stay as a draft, too: the pair may come back. */
export function rescue() {
  if (!('held' in cfg)) return;
  const spared = [...cfg.held.split(' '), ...queued().map(q => String(q.assignment))];
  for (const k of store.all('draft:')) {
    const id = k.slice('draft:'.length), one = store.get(k); if (!/^\d+$/.test(id) || spared.includes(id) || !one || one.offered) continue;
    keepDraft(one); store.set(k, { ...one, offered: true });
  }
  offerKept();
}
ACTS.kept = () => {
  $('[data-kept-list]').replaceChildren(...texts().map(k => {
    const li = document.createElement('li'), p = document.createElement('p'), t = document.createElement('textarea');
    p.textContent = `${k.text}, ${new Date(k.at).toLocaleString(lang)}`; t.value = k.note; t.readOnly = true; t.rows = 4; t.setAttribute('aria-label', phrase('kept_text')); li.append(p, t); return li;
  })); toggle('kept');
};
ACTS.forget = () => { store.drop('kept'); unstand('kept'); $('#kept').close(); };

/* What the browser refused to keep goes with this window: nobody leaves it unasked, but after a warning of the page's own. */
export const guard = { off: false, also: () => false };
addEventListener('beforeunload', e => { if (!guard.off && (store.unkept('queue:') || store.unkept('kept') || guard.also())) { e.preventDefault(); e.returnValue = true; } });
