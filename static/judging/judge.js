/* Plumbline, judging page. The form works without these scripts; they add keys, highlights, drafts, the queue and the
   next pair without a page load. No framework, no inline handlers: they run under a policy that allows their nonce only.
   This one takes a pair in, sends the answer out, and keeps what could not be sent. */
import { $, $$, ACTS, alerted, cfg, counted, editing, embedded, form, note, passed, phrase, say, store, uuid, view } from './kit.js';
import { at, countWords, draftName, draftSoon, empty, fillForm, flip, freshDraft, hushDraft, inWords, keepHere, line, newest, readForm, save, saveNow, sendDraft, untilSaved, versions } from './draft.js';
import { editSent, strayEdit } from './edit.js';
import { atOnce, deliver, dequeue, enqueue, keep, keepUnseen, offerKept, queued, rescue, sendQuietly, sendWaiting, soonAgain, told, waiting, wordsOf } from './kept.js';
import { signOut } from './leaving.js';
import { hasMath, katex, setMath } from './math.js';
import { places } from './marks.js';
import { active, clock, firstKey, keepPace, leaseEnd, lookSoon, seen, unseen } from './pace.js';
import { heldBack, opener, openMenu, renewed, showNews, toggle } from './overlays.js';
import { freshLooks, setEarlier, setPrompt, wasTurned } from './reading.js';
import { echo, endEcho, later, locked, post, quietly, refused, stand, unstand } from './server.js';
import { warn } from './versions.js';
import { missing, undecided } from './votes.js';

const CLIENT = 'page 2', required = cfg.rationale === 'required', asks = cfg.rationale !== 'off';
at.item = { assignment: +form.assignment.value, key: form.key.value, prompt: places.prompt.innerHTML, a: places.a.innerHTML, b: places.b.innerHTML, prompt_lang: places.prompt.lang, a_lang: places.a.lang, b_lang: places.b.lang, draft: embedded('draft'), ask: embedded('ask'), position: +(/\d+/.exec($('[data-position]').textContent)?.[0] || 0) };
let upcoming = editing ? [] : embedded('upcoming') || [], trusted = false, lastSaved = null;
/* By key: the pairs and the forms of answers that wait, to be taken back. */
const unsent = new Map();

/* ---- one pair out, one in ---- */
const piece = html => { const t = document.createElement('template'); t.innerHTML = html; return t.content; };
function show(item) {
  at.item = item; form.assignment.value = item.assignment; form.key.value = item.key;
  for (const s of ['prompt', 'a', 'b']) {
    const content = piece(item[s]); if (window.katex) setMath(content);
    places[s].replaceChildren(content); places[s].lang = item[`${s}_lang`] || ''; places[s].scrollTop = 0; places[s].scrollLeft = 0;
  }
  $('[data-position]').textContent = phrase('of_pair', { n: item.position });
  form.hidden = false; $('#waiting').hidden = true; document.body.dataset.state = 'judging'; $('.skip-link').hash = 'item-heading';
  arrive(); prepare();
}
function arrive() {
  freshDraft(); freshLooks(at.item);
  const draft = newest(at.item); setPrompt(true); setEarlier(false); scrollTo(0, 0);
  fillForm(draft); if (editing && draft?.at) { at.unsaved = true; untilSaved(); } else save(!editing && draft && !empty(draft) ? 'saved' : 'empty');
  if (draft && draft.at && !editing && !(draft.sent && draft.base === (at.item.draft?.version || 0))) { at.unsaved = true; save('local'); draftSoon(); }
  unseen(); clock.reset(); lookSoon();
}
/* What the next pairs need is loaded while this one is read. */
function prepare() { if (!hasMath(at.item) && !upcoming.some(hasMath)) return; katex().then(() => { Object.values(places).forEach(setMath); dispatchEvent(new Event('resize')); }, () => {}); }
function counts(c) {
  if (!c) return; $$('[data-count]').forEach(n => { n.textContent = c.done_today; });
  const bar = $('#progress'); if (bar) { bar.value = c.done_today; if (c.goal) { bar.max = c.goal; $$('[data-goal]').forEach(n => { n.textContent = c.goal; }); } }
}
function advance(message) {
  const item = upcoming.shift();
  if (item) {
    show(item); $('#item-heading').focus({ preventScroll: true });
    if (message) echo(message.text, { ...message, more: `. ${phrase('pair', { n: item.position })}.` }); else say(phrase('pair', { n: item.position }));
  } else if (waiting()) wait(message);
  else { if (message) passed.set(message); keepPace(); location.assign(cfg.judge); }
}
function wait(message) {
  at.item = { assignment: 0, key: '', prompt: '', a: '', b: '', position: 0 }; form.hidden = true; document.body.dataset.state = 'waiting'; $('.skip-link').hash = 'waiting-head';
  $('#waiting').hidden = false; $('[data-waiting-count]').textContent = told(waiting());
  $('#waiting-head').focus({ preventScroll: true }); if (message) echo(message.text, message);
}

/* ---- submitting: kept here first, then sent under the same key until the server has it ---- */
const held = () => [at.item.assignment, ...upcoming.map(i => i.assignment)];
function entry(f) {
  const p = new URLSearchParams({ assignment: at.item.assignment, key: form.key.value, guideline: form.guideline.value, verdict: f.verdict, skip_reason: f.skip_reason, note: f.note, deciding: f.deciding, active_ms: clock.value(), coverage_a: seen.a.toFixed(3), coverage_b: seen.b.toFixed(3), client: `${CLIENT} ${view()}` });
  if (clock.firstKey !== null) p.set('first_key_ms', clock.firstKey); if (wasTurned()) p.set('turned', '1');
  f.tag.forEach(t => p.append('tag', t)); f.flag.forEach(t => p.append('flag', t)); f.span.forEach(s => p.append('span', JSON.stringify(s)));
  Object.entries(f.vote).forEach(([id, v]) => p.append(`vote-${id}`, v)); if (!editing) versions.beyond().forEach(one => p.append('beyond', one));
  const edit = editSent(f); if (edit) p.set(`edit_${edit.side}`, edit.text);
  const bits = [inWords(f.verdict)], n = f.note ? countWords(f.note) : 0; if (n) bits.push(counted('words', n)); if (f.span.length) bits.push(counted('highlights', f.span.length)); if (f.flag.length) bits.push(phrase('flagged_too'));
  return { assignment: at.item.assignment, key: form.key.value, body: p.toString(), note: wordsOf({ note: f.note, edit: edit && [edit.text] }), text: bits.join(' · '), at: Math.max(Date.now(), 1 + (queued().at(-1)?.at || 0)) };
}
function add(item) { if (item && !held().includes(item.assignment)) upcoming.push(item); }
const wrong = (t, where) => { line(t, 'error'); alerted(t); where?.focus?.(); };

form.addEventListener('submit', e => {
  e.preventDefault(); const f = readForm();
  if (!f.verdict) return wrong(phrase('choose_first'), $('[name="verdict"]:enabled', form) || $('[data-votes] input:enabled', form));
  if (undecided()) return wrong(phrase('which_decided'), $('[name="deciding"]', form));
  const stray = strayEdit(f); if (stray && !at.nudged) { at.nudged = true; line(stray, 'nudge'); say(stray); return; }
  const written = [...f.note.trim()].length; if (written < +cfg.shortest) return wrong(phrase('reason_too_short', { least: cfg.shortest, n: written }), note);
  const bare = asks && !f.note.trim() && !f.tag.length && !f.span.length, open = missing();
  if (bare && required) return wrong(phrase('say_why_first'), $('[name="tag"]', form) || note);
  if (bare || open) {
    /* Warns once and never blocks twice: who sends without a reason has decided so, until a reason is given again. */
    if (!at.nudged && (!trusted || open)) { at.nudged = true; const t = open ? counted('principles_open', open) : phrase('no_reason_yet'); line(t, 'nudge'); say(t); return; }
    if (bare) trusted = true;
  } else trusted = false;
  send(f);
});
async function send(f) {
  if (at.busy || !at.item.assignment) return;
  if (!editing && heldBack()) return line(phrase('guideline_first'), 'nudge');
  if (warn()) return line(phrase('versions_first'), 'nudge');
  at.busy = true; hushDraft(); alerted(''); form.setAttribute('aria-busy', 'true');
  try { await (editing ? sendEdit(f) : sendNew(f)); } finally { at.busy = false; form.removeAttribute('aria-busy'); if (at.unsaved && !editing && $('[data-save]').dataset.kind === 'saving') draftSoon(); }
}
async function sendNew(f) {
  /* What waits of this pair is replaced, under a new key: should the server have it after all, it will not take this for
     it. What waits of other pairs goes first, so that the latest answer there is the latest one given. */
  const item = at.item, before = queued().filter(q => q.assignment === item.assignment); before.forEach(dequeue); if (before.length) form.key.value = item.key = uuid();
  const stop = waiting() ? await flush() : await flushing; if (at.item !== item) return;
  const one = entry(f), kept = enqueue(one), { status, data } = stop === 'later' ? { status: 0 } : await deliver(one, held());
  if (status === 200) {
    settle(one, data); dequeue(one); store.drop(draftName(one.assignment)); unstand('lease'); unstand('session'); keepUnseen(one, data.unseen);
    advance({ text: phrase('saved_as', { answer: data.saved.text }), undo: true }); newGuideline(data.guideline);
  } else if (later(status)) {
    unsent.set(one.key, { one, item, draft: { ...f, ...known() } }); store.set(draftName(one.assignment), { ...f, at: Date.now(), ...versions.kept() });
    advance({ text: kept ? phrase('kept_as', { answer: one.text }) : phrase('window_as', { answer: one.text }), kind: 'kept', undo: true }); save('offline'); soonAgain(flush);
  } else if (status === 409 && data.item) {
    dequeue(one); add(data.item); keep(one); store.drop(draftName(one.assignment));
    advance({ text: data.error, kind: 'kept' }); if (one.note) offerKept();
  } else if (status === 409 || status === 423) {
    /* Lost and nothing else to judge, or the project takes no answers now: everything stays in the form. */
    dequeue(one); wrong(data.error); save('local');
    stand({ about: 'lease', kind: 'kept', text: phrase('not_saved'), href: cfg.judge, link: phrase('go_on') });
  } else { dequeue(one); at.unsaved = true; notSent(status, data); if (data.field === 'note' || data.field === 'tag') (note || form).focus?.(); }
}
function notSent(status, data) {
  const out = locked(status, data);
  wrong(out ? phrase('sign_in_first') : later(status) ? (at.kept ? phrase('no_connection_kept') : phrase('no_connection')) : data.error || phrase('server_said_kept', { status })); save('local');
}
async function sendEdit(f) {
  const p = new URLSearchParams(entry(f).body); p.set('revision', form.revision.value);
  const { status, data } = await quietly(post(form.action, p));
  if (status !== 200) return notSent(status, data);
  store.drop(draftName(at.item.assignment)); at.unsaved = false; passed.set({ text: phrase('saved_as', { answer: data.saved.text }) }); location.assign(cfg.answers);
}
function settle(one, data) { add(data.item); counts(data.counts); lastSaved = one.assignment; dispatchEvent(new Event('judged')); }
/* The guideline has a new version since this page was loaded. */
let inForce = cfg.guidelineId;
function newGuideline(id) { if (!id || String(id) === inForce) return; inForce = String(id); if ($('#guideline')) renewed(); stand({ about: 'guideline', kind: 'kept', text: phrase('new_guideline'), href: cfg.judge, link: phrase('read_what_changed') }); }

/* ---- what waits is sent again: when the connection returns, and every so often ---- */
let flushing = null;
const flush = () => flushing ||= (editing ? sendQuietly : sendKept)().finally(() => { flushing = null; });
async function sendKept() {
  const { sent, stop } = await sendWaiting(held, (one, status, data) => {
    unsent.delete(one.key); if (status === 200) settle(one, data); else add(data.item);
    upcoming = upcoming.filter(i => i.assignment !== one.assignment); if (at.item.assignment !== one.assignment) return;
    const written = readForm().note; if (at.unsaved && !one.note.includes(written)) { keep({ ...one, note: written }); offerKept(); }
    advance();
  });
  if (stop === 'later') { soonAgain(flush); save('offline'); } else atOnce();
  if (stop) return stop;
  if (sent) echo(counted('answers_sent', sent));
  if (!at.item.assignment) advance(); else if (at.unsaved) sendDraft(); else save(empty(readForm()) ? 'empty' : 'saved');
}
addEventListener('online', () => { atOnce(); flush(); });
addEventListener('offline', () => { if (at.unsaved || waiting()) save('offline'); });

/* ---- taking back ---- */
async function undo() { if (at.busy || editing) return; at.busy = true; try { await takeBack(); } finally { at.busy = false; } }
async function takeBack() {
  await flushing;
  /* The latest answer is one that waits: it is taken back here, or sent first. The one before it stays as it is. */
  const last = queued().at(-1), was = unsent.get(last?.key);
  if (was) { dequeue(last); unsent.delete(last.key); return backHere(was.item, was.draft); }
  if (last && last.assignment === at.item.assignment) { dequeue(last); return backHere(at.item, { ...readForm(), ...known() }); }
  if (last) { await flush(); if (waiting()) return echo(phrase('waits_still'), { kind: 'kept' }); }
  if (at.unsaved && at.item.assignment) keepHere();
  const { status, data } = await quietly(post(cfg.undo, new URLSearchParams()));
  if (status !== 200) return refused(status, data);
  counts(data.counts); back(data.item, data.item.draft);
}
/* Nobody but this browser knows of it; of its draft, the server may. */
const known = () => ({ version: versions.base, tried: versions.tried, past: versions.past });
function backHere(item, draft) { back({ ...item, key: uuid() }, draft); at.unsaved = true; keepHere(); draftSoon(); }
function back(item, draft) {
  if (at.item.assignment && at.item.assignment !== item.assignment) upcoming.unshift(at.item);
  upcoming = upcoming.filter(i => i.assignment !== item.assignment); store.drop(draftName(item.assignment));
  endEcho(); show({ ...item, draft });
  ($('[name="verdict"]:checked', form) || $('#item-heading')).focus({ preventScroll: true }); say(phrase('reopened'));
}

/* ---- skip, flag, texts that could not be saved ---- */
$('#menu-skip').addEventListener('click', e => { const b = e.target.closest('[data-skip]'); if (!b) return; firstKey(); $('#menu-skip').hidePopover(); send({ ...readForm(), verdict: 'skip', skip_reason: b.dataset.skip, deciding: '' }); });
$('#menu-flag').addEventListener('click', e => {
  const b = e.target.closest('[data-flag-as]'); if (!b) return; const text = $('span', b).textContent;
  say(phrase(flip(b.dataset.flagAs) ? 'flagged_as' : 'flag_removed', { flag: text })); $('#menu-flag').hidePopover(); opener('menu-flag').focus();
});
signOut(async () => { if (waiting()) await flush(); if (at.unsaved) await sendDraft(); });
const leave = url => { saveNow(true); keepPace(); location.assign(url); };
Object.assign(ACTS, {
  undo, skip: () => openMenu('menu-skip'), flag: () => openMenu('menu-flag'), note: () => note?.focus(), tags: () => $('[name="tag"]', form)?.focus(),
  submit: () => { if (!form.hidden) form.requestSubmit(); }, retry: () => { atOnce(); flush(); },
  pause: () => { $('[data-lease-end]').textContent = leaseEnd(); toggle('paused'); clock.turn(); },
  renew: () => leave(editing ? location.pathname : cfg.judge),
  earlier_answer: () => leave(editing && cfg.earlier ? cfg.earlier : !editing && lastSaved ? `${cfg.answers}/${lastSaved}` : cfg.answers),
  later_answer: () => { if (editing) leave(cfg.later || cfg.judge); },
});
$('#paused').addEventListener('close', () => { clock.turn(); active(); });

/* ---- begin ---- */
/* A reset must not bring back what the server wrote into the form. Drafts of long ago are cleared away. */
store.all('draft:').forEach(k => { if (Date.now() - (store.get(k)?.at || 0) > 14 * 86400000) store.drop(k); });
const refusedBefore = $('[data-line]').dataset.kind === 'error' ? $('[data-line]').textContent : '';
arrive(); prepare();
if (editing) { const f = readForm(); trusted = !f.note.trim() && !f.tag.length && !f.span.length; }
if (refusedBefore) line(refusedBefore, 'error');
rescue(); if (editing) { offerKept(); if (at.overtaken) stand({ about: 'kept', kind: 'kept', text: phrase('edit_overtaken'), kept: store.get('kept', []).length > 0 }); }
const said = passed.get(); if (said) echo(said.text, said);
if ('unread' in cfg) showNews();
if (waiting()) flush();
