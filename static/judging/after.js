/* After the lock: reasons that machines wrote for answers that are saved. They wait behind a button and never stand in
   the way: who does not open them judges on. The server draws which answers get one, and sends nothing before. */
import { $, $$, ACTS, cfg, say, store } from './kit.js';
import { actOf, bringKey, keyOf, showKeys } from './keys.js';
import { first } from './leaving.js';
import { mathIn } from './math.js';
import { clock } from './pace.js';
import { get, later, locked, post, quietly } from './server.js';

const box = $('#after'), texts = box.dataset, body = $('[data-after-body]'), said = $('[data-after-said]'), tool = $('[data-after]');
let waiting = +$('[data-after-count]').textContent || 0, busy = false, since = 0, opened = 0;
const form = () => $('[data-offer]', body), note = () => $('[name="text"]', body);
const draft = () => `after:${form()?.dataset.offer}`;
const kept = () => store.get('reactions', []);
const plain = text => { body.textContent = text; };

function count(n) {
  const more = n > waiting; waiting = n; $('[data-after-count]').textContent = n || '';
  if (more) $('[data-after-live]').textContent = n === 1 ? texts.one : texts.many.replace('#', n);
}

/* ---- drawn once the answer is saved, when the next pair stands on the screen: answers in quick succession together,
   and nobody waits longer for answering on ---- */
let drawing = 0, again = 0, asking = null;
function drawSoon() { clearTimeout(again); drawing ||= setTimeout(draw, 250); }
function draw() { clearTimeout(drawing); drawing = 0; asking = ask().finally(() => { asking = null; }); }
async function ask() {
  const { status, data } = await quietly(post(texts.draw, new URLSearchParams()));
  if (status === 200) count(data.waiting); else if (later(status)) { clearTimeout(again); again = setTimeout(draw, 15000); }
}

/* ---- shown when it is asked for ---- */
async function open() {
  if (box.open) return box.close();
  box.showModal(); clock.turn();
  /* Whoever comes right after an answer comes for its reason. */
  if (drawing) draw();
  if (asking) { plain(texts.loading); await asking; }
  if (box.open) await load();
}
async function load(before = '', offer = '') {
  const mine = ++opened; plain(texts.loading);
  const answer = await quietly(get(offer ? `${texts.reasons}?offer=${offer}` : texts.reasons));
  if (mine !== opened || !box.open) return;
  if (answer.status === 401) { plain(texts.signedOut); return locked(401, await answer.json().catch(() => ({}))); }
  if (!answer.ok) return plain(texts.offline);
  body.innerHTML = await answer.text(); showKeys(); body.scrollTop = 0; since = performance.now();
  const text = form() && store.get(draft());
  if (text && note()) { note().value = text; edit(true); }
  $('#after-head').focus({ preventScroll: true });
  said.textContent = [before, form() ? '' : texts.done].filter(Boolean).join(' ');
  await mathIn(body);
}
function edit(quietlyOpen = false) {
  $('[data-edit]', body).hidden = false; $('[value="edit"]', body).setAttribute('aria-expanded', 'true');
  if (!quietlyOpen) { note().focus(); note().setSelectionRange(note().value.length, note().value.length); }
}

/* ---- answered: kept here first, then sent; the same answer may arrive twice ---- */
const enqueue = one => store.set('reactions', [...kept().filter(k => k.offer !== one.offer), one]);
const dequeue = one => store.set('reactions', kept().filter(k => k.offer !== one.offer));
async function choose(choice) {
  if (busy || !form()) return;
  if (choice === 'edit') return edit();
  const fields = new URLSearchParams(new FormData(form())); fields.delete('csrfmiddlewaretoken');
  fields.set('choice', choice); fields.set('active_ms', Math.round(performance.now() - since)); if (choice !== 'edited') fields.delete('text');
  const one = { offer: form().dataset.offer, body: fields.toString() }; enqueue(one);
  busy = true; const result = await quietly(post(texts.reasons, fields)); busy = false;
  const { status, data } = result;
  if (later(status)) { count(Math.max(0, waiting - 1)); say(texts.kept); return box.close(); }
  if (locked(status, data)) return box.close();
  dequeue(one);
  if (status === 422) { wrong(data.error); return; }
  store.drop(draft()); if ('waiting' in data) count(data.waiting);
  const words = data.said || data.error || '';
  if (status === 200 && !waiting) { box.close(); return say(`${words} ${texts.done}`); }
  await load(words);
}
/* The last one is taken back: it stands there again, as it was left. */
async function takeBack() {
  const last = $('[data-last]', body); if (busy || !last) return;
  busy = true; const { status, data } = await quietly(post(texts.undo, new URLSearchParams({ offer: last.offer.value }))); busy = false;
  if (later(status)) { const p = $('p', last); p.setAttribute('role', 'alert'); p.textContent = texts.offline; return; }
  if (locked(status, data)) return box.close();
  if ('waiting' in data) count(data.waiting);
  await load(data.said || data.error || '', status === 200 ? data.offer : '');
}
function wrong(text) {
  const p = $('.after__error', body) || Object.assign(document.createElement('p'), { className: 'after__error' });
  p.setAttribute('role', 'alert'); p.textContent = text; $('.after__said', body).after(p); note()?.focus();
}
async function flush() {
  for (const one of kept()) {
    const { status, data } = await quietly(post(texts.reasons, new URLSearchParams(one.body)));
    if (later(status) || status === 401 || status === 403) return;
    dequeue(one); store.drop(`after:${one.offer}`); if (data.waiting !== undefined) count(data.waiting);
  }
}

/* ---- hands ---- */
body.addEventListener('submit', e => { e.preventDefault(); if (e.target.matches('[data-last]')) takeBack(); else choose(e.submitter?.value || 'ticked'); });
body.addEventListener('input', e => { if (e.target === note()) store.set(draft(), note().value); });
box.addEventListener('keydown', e => {
  const k = keyOf(e), writing = e.target.matches('textarea');
  if (e.isComposing || e.altKey || e.repeat) return;
  if (actOf(k) === 'undo' && !writing && !e.ctrlKey && !e.metaKey && store.get('single', true) && $('[data-last]', body)) { e.preventDefault(); return takeBack(); }
  if (!form()) return;
  if ((e.ctrlKey || e.metaKey) && k === 'enter') {
    if (note() && $('[data-edit]', body).hidden) return;
    e.preventDefault(); return choose(note() ? 'edited' : 'ticked');
  }
  if (writing || e.ctrlKey || e.metaKey || !store.get('single', true)) return;
  if (actOf(k) === 'reasons') { e.preventDefault(); return box.close(); }
  const ticks = $$('[name="tick"]', body), choice = { 1: 'accepted', 2: 'edit', 3: 'rejected' }[k];
  if (ticks.length) { if (/^[1-9]$/.test(k) && ticks[k - 1]) { e.preventDefault(); ticks[k - 1].click(); ticks[k - 1].focus(); } }
  else if (choice) { e.preventDefault(); choose(choice); }
});
box.addEventListener('close', () => {
  opened += 1; plain(''); clock.turn();
  // The event comes a moment later: whoever has gone on with the keyboard by then stays where they are.
  if ([document.body, tool].includes(document.activeElement)) $('#item-heading')?.focus({ preventScroll: true });
});
tool.addEventListener('click', e => { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); open(); });
ACTS.reasons = open;
bringKey('o', 'reasons');
addEventListener('judged', drawSoon);
addEventListener('online', () => { flush(); drawSoon(); });
first.push(flush);
if (kept().length) flush();
