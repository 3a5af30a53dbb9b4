/* What was entered so far: the form as data, kept in this browser at once and on the server soon after. */
import { $, $$, ACTS, cfg, counted, editing, form, note, phrase, say, store } from './kit.js';
import { edits as edited, setEdits } from './edit.js';
import { guard, keepDraft, waiting, wordsOf } from './kept.js';
import { marks, setMarks } from './marks.js';
import { firstKey } from './pace.js';
import { later, locked, post, quietly, stand, unstand } from './server.js';
import { decided, settle, setVotes, verdictWaits, votes } from './votes.js';

/* A scale of two points knows better only, not how much. */
const ONLY_BETTER = $('.scale[data-points="2"]') ? { a1: 'a2', b1: 'b2' } : {};
export const inWords = v => phrase(ONLY_BETTER[v] || v);
/* Keys keep their place on the seven-point scale; on a shorter one the outer keys choose the strongest answer there is. */
const RULER = { 1: ['a3', 'a2', 'a1'], 2: ['a2', 'a1'], 3: ['a1'], 4: ['same'], 5: ['b1'], 6: ['b2', 'b1'], 7: ['b3', 'b2', 'b1'], 0: ['bad'] };
const QUESTION = $('[data-line]').dataset.question;
/* What is on the screen, and how far it is saved. `version` is the latest draft of it that the server has or was sent: what
   this browser keeps says which one it goes beyond. */
export const at = { item: null, unsaved: false, nudged: false, busy: false, kept: true, version: 0, overtaken: false };
let flags = new Set(), draftTimer, edits = 0, draftSent = 0, sending = null;

/* ---- the form as data ---- */
export const verdict = () => $('[name="verdict"]:checked', form)?.value || '';
export const readForm = () => ({ verdict: verdict(), skip_reason: '', tag: $$('[name="tag"]:checked', form).map(t => t.value), note: note?.value || '', flag: [...flags], span: marks(), vote: votes(), deciding: decided() || '', edit: edited() });
export const empty = f => !f.verdict && !f.note && !f.tag?.length && !f.flag?.length && !f.span?.length && !Object.keys(f.vote || {}).length && !Object.keys(f.edit || {}).length;
export function fillForm(f) {
  $$('[name="verdict"]', form).forEach(r => { r.disabled = false; r.checked = r.value === f?.verdict; });
  $$('[name="tag"]', form).forEach(t => { t.checked = !!f?.tag?.includes(t.value); });
  if (note) note.value = f?.note || '';
  flags = new Set(f?.flag || []); showFlags(); words(); setMarks(f?.span); setVotes(at.item, f); setEdits(f); line();
}
const segment = window.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity: 'word' }) : null;
export const countWords = s => segment ? [...segment.segment(s)].filter(w => w.isWordLike).length : s.split(/\s+/).filter(Boolean).length;
function words() { if (!note) return; const n = countWords(note.value); $('[data-words]').textContent = n ? counted('words', n) : ''; }
export function line(text, kind) { const p = $('[data-line]'), v = verdict(); p.textContent = text || (v ? inWords(v) : QUESTION); p.dataset.kind = kind || (v ? 'chosen' : ''); p.title = text ? text : ''; }
ACTS.choose = k => {
  if (verdictWaits()) { line(phrase('principles_first'), 'nudge'); return say(phrase('principles_first_said')); }
  const r = RULER[k].map(v => $(`[name="verdict"][value="${v}"]`, form)).find(Boolean);
  if (!r) return line(k === '4' ? phrase('no_tie') : phrase('no_both_bad'), 'nudge');
  firstKey(); r.checked = true; r.focus({ preventScroll: true }); r.dispatchEvent(new Event('input', { bubbles: true }));
};
export function showFlags() {
  const b = $('[data-flag]'); b.toggleAttribute('data-on', flags.size > 0); $('[data-flag-label]').textContent = phrase(flags.size ? 'flagged' : 'flag');
  $$('[data-flag-as]').forEach(i => i.setAttribute('aria-checked', flags.has(i.dataset.flagAs)));
}
export function flip(f) { if (flags.has(f)) flags.delete(f); else flags.add(f); showFlags(); touched(); return flags.has(f); }

/* ---- kept here at once, then sent ---- */
export const draftName = id => `draft:${editing ? 'edit:' : ''}${id}`;
export function save(kind, text) {
  const out = $('[data-save]'), was = out.dataset.kind, n = waiting() + (kind === 'offline' && !editing && at.unsaved ? 1 : 0), lost = !at.kept || store.unkept('queue:');
  const said = text || (kind === 'empty' ? '' : kind === 'offline' ? (lost ? counted('offline_window', n) : counted('offline', n)) : phrase(kind === 'local' && !at.kept ? 'window_only' : kind));
  const discard = $('[data-act="discard"]'); if (discard) discard.hidden = !at.unsaved;
  out.dataset.kind = kind; $('[data-save-text]').textContent = said;
  if (was !== kind && (kind === 'offline' || was === 'offline')) say(said);
}
export const keepHere = (sent = false) => at.kept = store.set(draftName(at.item.assignment), { ...readForm(), at: Date.now(), base: at.version, sent, revision: form.revision?.value });
export const untilSaved = () => save('local', at.kept ? phrase('kept_until_saved') : phrase('not_saved_yet'));
export function touched() {
  if (!at.item?.assignment) return;
  at.nudged = false; edits += 1; at.unsaved = true; firstKey();
  keepHere();
  if (editing) return untilSaved();
  clearTimeout(draftTimer);
  if (!navigator.onLine) return save('offline');
  save('saving');
  /* 0.6 s after the last key; while somebody types without a pause, every 3 s. */
  draftTimer = setTimeout(sendDraft, Date.now() - draftSent > 3000 ? 50 : 600);
}
export async function sendDraft(keepalive = false) {
  clearTimeout(draftTimer); if (editing || at.busy || !at.unsaved || !at.item?.assignment) return;
  const mine = at.item.assignment, then = edits; at.version = Math.max(at.version + 1, Date.now()); draftSent = Date.now();
  sending?.abort(); sending = new AbortController();
  const fields = new URLSearchParams({ assignment: mine, version: at.version, body: JSON.stringify(readForm()) });
  const { status, data, error } = await quietly(post(cfg.draft, fields, { signal: sending.signal, keepalive: keepalive === true && fields.toString().length < 60000 }));
  /* Another pair came meanwhile, or a newer draft is on its way: this answer says nothing any more. */
  if (mine !== at.item.assignment || error?.name === 'AbortError') return;
  if (status === 204) { unstand('session'); if (then === edits) { at.unsaved = false; keepHere(true); save('saved'); } return; }
  /* Another device has stored one since, or its clock is ahead: what is written here now goes beyond it. */
  if (data.version >= at.version) { at.version = data.version; keepHere(); return sendDraft(); }
  if (locked(status, data)) return save('local');
  if (later(status)) { save('offline'); draftTimer = setTimeout(sendDraft, 10000); return; }
  save('local');
  if (status === 409) stand({ about: 'lease', kind: 'kept', text: data.error || phrase('not_yours') });
  else line(data.error || phrase('draft_not_saved'), 'error');
}
export const draftSoon = () => { draftTimer = setTimeout(sendDraft, 600); };
export function hushDraft() { clearTimeout(draftTimer); sending?.abort(); }
export const saveNow = keepalive => { if (at.unsaved) sendDraft(keepalive === true); };
export function freshDraft() { at.nudged = false; at.unsaved = false; at.kept = true; edits = 0; hushDraft(); }
/* The newer of the two: what this browser kept, or what the server has since. Clocks of two devices are not compared. Words
   that the server never had are offered where another device's stand in their place. */
export function newest(item) {
  const local = store.get(draftName(item.assignment)), server = item.draft;
  at.overtaken = false; if (!local) return server;
  /* An unsaved change of an answer that has been changed since: it is offered, and never laid over what is stored. */
  at.overtaken = editing && local.revision !== form.revision.value;
  if (!at.overtaken && (!server?.version || (local.base ?? local.at) >= server.version)) return local;
  if (!local.sent && !wordsOf(server).includes(wordsOf(local))) keepDraft(local, false);
  store.drop(draftName(item.assignment)); return server;
}
form.addEventListener('input', e => { if (e.target.name === 'verdict') line(); if (e.target === note) words(); settle(); touched(); });
document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') saveNow(true); });
addEventListener('pagehide', () => saveNow(true));
guard.also = () => at.unsaved && !at.kept;
ACTS.save = () => saveNow();
/* What is stored stands there again. */
ACTS.discard = () => { store.drop(draftName(at.item.assignment)); freshDraft(); fillForm(at.item.draft); save('empty'); say(phrase('change_discarded')); $('#item-heading').focus({ preventScroll: true }); };
/* Another tab wrote in this pair: what stands there is newer than what stands here, unless somebody writes here too. */
addEventListener('storage', e => {
  if (!at.item?.assignment || at.unsaved || e.key !== store.name(draftName(at.item.assignment)) || !e.newValue) return;
  if (document.hasFocus()) return; fillForm(store.get(draftName(at.item.assignment))); say(phrase('changed_elsewhere'));
});
