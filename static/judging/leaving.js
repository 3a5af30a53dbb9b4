/* Signing out: what can be sent goes first, what cannot is told of once, and what this browser keeps of drafts is dropped
   when the sign-out is done, not before: without a connection everything stays. */
import { $, counted, phrase, store } from './kit.js';
import { guard, queued, waiting } from './kept.js';
import { later, quietly, stand, tooOld } from './server.js';

const KINDS = ['draft:', 'rank:', 'after:'], OUTER = ['at', 'base', 'tried', 'past', 'sent', 'offered', 'revision'];
const drafts = () => KINDS.flatMap(store.all);
const blank = one => !Object.entries(one).some(([k, v]) => !OUTER.includes(k) && (typeof v === 'object' ? Object.values(v || {}).some(Boolean) : v));
/* What was made of machine reasons and waits: answers, too. */
const reactions = () => store.get('reactions', []);
/* What the server never had. A draft of an answer that waits is told of with the answer. */
function unsent() {
  const sending = [...queued().map(q => `draft:${q.assignment}`), ...reactions().map(r => `after:${r.offer}`)];
  return drafts().filter(k => { const one = store.get(k); return one && !one.sent && !one.offered && !sending.includes(k) && !blank(one); }).length;
}
/* What else a page has to send first. */
export const first = [];
/* `send` sends what it can of the page that it belongs to. */
export function signOut(send) {
  const form = $('[data-sign-out]'); if (!form) return;
  let told = '', leaving = false;
  form.addEventListener('submit', async e => { e.preventDefault(); if (leaving) return; leaving = true; try { await leave(); } finally { leaving = false; form.closest('[popover]')?.hidePopover(); } });
  async function leave() {
    await send(); for (const one of first) await one();
    const answers = waiting() + reactions().length, open = [answers && counted('answers_unsent', answers), unsent() && counted('drafts_unsent', unsent())].filter(Boolean).join(' ');
    if (open && told !== open) { told = open; return stand({ about: 'leaving', kind: 'kept', text: `${open} ${phrase('leave_anyway')}` }); }
    const answer = await quietly(fetch(form.action, { method: 'POST', body: new FormData(form), redirect: 'manual', credentials: 'same-origin' }));
    if (answer.type !== 'opaqueredirect') return later(answer.status) ? stand({ about: 'leaving', kind: 'kept', text: phrase('no_connection') }) : tooOld();
    guard.off = true; drafts().forEach(store.drop); location.assign('/');
  }
}
