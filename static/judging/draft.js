/* What was entered so far: the form as data, kept in this browser at once and on the server soon after. */
import { $, $$, ACTS, cfg, counted, editing, form, note, phrase, say, store } from './kit.js';
import { edits as edited, setEdits } from './edit.js';
import { guard, keepDraft, waiting, wordsOf } from './kept.js';
import { marks, setMarks } from './marks.js';
import { firstKey } from './pace.js';
import { later, locked, post, quietly, stand, unstand } from './server.js';
import { another, ask, offerOther, settled, Versions } from './versions.js';
import { decided, settle, setVotes, verdictWaits, votes } from './votes.js';

/* A scale of two points knows better only, not how much. */
const ONLY_BETTER = $('.scale[data-points="2"]') ? { a1: 'a2', b1: 'b2' } : {};
export const inWords = v => phrase(ONLY_BETTER[v] || v);
/* Keys keep their place on the seven-point scale; on a shorter one the outer keys choose the strongest answer there is. */
const RULER = { 1: ['a3', 'a2', 'a1'], 2: ['a2', 'a1'], 3: ['a1'], 4: ['same'], 5: ['b1'], 6: ['b2', 'b1'], 7: ['b3', 'b2', 'b1'], 0: ['bad'] };
const QUESTION = $('[data-line]').dataset.question;
/* What is on the screen, and how far it is saved. What this browser keeps says which drafts of the server it may replace. */
export const at = { item: null, unsaved: false, nudged: false, busy: false, kept: true, overtaken: false };
export const versions = new Versions();
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
export const keepHere = (sent = false) => at.kept = store.set(draftName(at.item.assignment), { ...readForm(), at: Date.now(), ...versions.kept(), sent, revision: form.revision?.value });
export const untilSaved = () => save('local', at.kept ? phrase('kept_until_saved') : phrase('not_saved_yet'));
export function touched() {
  if (!at.item?.assignment) return;
  at.nudged = false; edits += 1; at.unsaved = true; firstKey();
  keepHere();
  if (editing) return untilSaved();
  clearTimeout(draftTimer);
  if (!navigator.onLine) return save('offline');
  save(another() ? 'local' : 'saving');
  /* 0.6 s after the last key; while somebody types without a pause, every 3 s. */
  draftTimer = setTimeout(sendDraft, Date.now() - draftSent > 3000 ? 50 : 600);
}
export async function sendDraft(keepalive = false) {
  clearTimeout(draftTimer); if (editing || at.busy || !at.unsaved || !at.item?.assignment) return;
  /* The choice has gone when one of the two says nothing any more: the server is asked for the newest, and that one stands. */
  if (another() && !agreed(readForm(), another().draft)) { ask(); return save('local'); }
  settled();
  const item = at.item, then = edits, form = readForm(), beyond = versions.beyond(), version = versions.next(); draftSent = Date.now();
  sending?.abort(); sending = new AbortController(); keepHere();
  const fields = new URLSearchParams({ assignment: item.assignment, version, body: JSON.stringify(form) }); beyond.forEach(one => fields.append('beyond', one));
  const { status, data, error } = await quietly(post(cfg.draft, fields, { signal: sending.signal, keepalive: keepalive === true && fields.toString().length < 60000 }));
  /* Another pair came meanwhile, or a newer draft is on its way: this answer says nothing any more. */
  if (item !== at.item || error?.name === 'AbortError') return;
  if (status === 204) { unstand('session'); versions.stored(version); item.draft = { ...form, version }; keepHere(then === edits); if (then === edits) { at.unsaved = false; save('saved'); } return; }
  if (data.draft) return overtakenBy(data);
  if (locked(status, data)) return save('local');
  if (later(status)) { save('offline'); draftTimer = setTimeout(sendDraft, 10000); return; }
  save('local');
  if (status === 409) stand({ about: 'lease', kind: 'kept', text: data.error || phrase('not_yours') });
  else line(data.error || phrase('draft_not_saved'), 'error');
}
/* Another device has stored one that this page has not seen. Where only one of the two says anything, it stands; otherwise
   somebody chooses, when they like: this one is kept here until then. */
const plain = f => JSON.stringify([f.verdict, f.note, f.tag, f.flag, f.span?.map(one => Object.entries(one).sort()), Object.entries(f.vote || {}).sort(), f.deciding, Object.entries(f.edit || {}).sort()].map(one => one?.length ? one : 0));
const agreed = (mine, theirs) => empty(mine) || empty(theirs) || plain(mine) === plain(theirs);
function overtakenBy(other) {
  const mine = readForm();
  if (!agreed(mine, other.draft)) { save('local'); return offerOther({ other, told, mine: readForm, take, keep: () => { versions.start(other.version); keepHere(); save('saving'); sendDraft(); } }); }
  if (empty(mine) || !empty(other.draft)) return take(other);
  versions.start(other.version); sendDraft();
}
function take({ version, draft }) {
  const same = plain(readForm()) === plain(draft); versions.start(version); at.item.draft = { ...draft, version };
  if (!same) { fillForm(draft); say(phrase('other_taken')); } at.unsaved = false; keepHere(true); save('saved');
}
const told = f => [f.verdict && inWords(f.verdict), f.note, ...Object.values(f.edit || {}), [f.tag?.length && f.tag.map(key => $(`[name="tag"][value="${CSS.escape(key)}"]`, form)?.labels[0].textContent.trim() || key).join(', '), f.span?.length && counted('highlights', f.span.length), Object.keys(f.vote || {}).length && `${phrase('key_principles')}: ${Object.keys(f.vote).length}`, f.flag?.length && phrase('flagged')].filter(Boolean).join(' · ')];
export const draftSoon = () => { draftTimer = setTimeout(sendDraft, 600); };
export function hushDraft() { clearTimeout(draftTimer); sending?.abort(); }
export const saveNow = keepalive => { if (at.unsaved) sendDraft(keepalive === true); };
export function freshDraft() { settled(); at.nudged = false; at.unsaved = false; at.kept = true; edits = 0; hushDraft(); }
/* What this browser kept, or what the server has since. Clocks of two devices are not compared. What the server never had
   stands here, and is sent: where another device wrote meanwhile, the answer brings its version. */
export function newest(item) {
  const local = store.get(draftName(item.assignment)), server = item.draft, there = server?.version || 0;
  at.overtaken = false; versions.start(there, server?.tried, server?.past); if (!local) return server;
  /* An unsaved change of an answer that has been changed since: it is offered, and never laid over what is stored. */
  if (editing) { at.overtaken = local.revision !== form.revision.value; if (!at.overtaken) return local; if (!wordsOf(server).includes(wordsOf(local))) keepDraft(local, false); } else if (!server || !local.sent || Versions.ofOurs(local, there)) {
    /* With all that was sent: the last of it, sent while a page closed, may arrive after this one was made. */
    versions.start(local.tried ? local.base : there, local.tried, local.past); return local;
  }
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
  if (document.hasFocus()) return; const other = store.get(draftName(at.item.assignment)); versions.start(other.base, other.tried, other.past); fillForm(other); say(phrase('changed_elsewhere'));
});
