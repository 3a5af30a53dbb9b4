/* Ranking: letters are put in order by dragging, by keys, or by writing their places. The form works without this
   script; what it shows and says is written in the page. */
import { $, $$, ACTS, cfg, editing, embedded, passed, phrase, say, store, view } from '../judging/kit.js';
import { guard, keep, keepUnseen, offerKept } from '../judging/kept.js';
import { actOf, bringKey, keyOf } from '../judging/keys.js';
import { signOut } from '../judging/leaving.js';
import { mathIn } from '../judging/math.js';
import { heldBack, showNews, toggle } from '../judging/overlays.js';
import { echo, later, locked, post, quietly, refused, stand, unstand } from '../judging/server.js';
import { another, ask, offerOther, settled, Versions, warn } from '../judging/versions.js';
import * as moves from './moves.js';

const form = $('#ranking'), note = $('#note'), lists = $('[data-lists]'), said = lists.dataset, ranked = $('[data-ranked]'), unranked = $('[data-unranked]'), line = $('[data-line]'), question = line.textContent;
const places = Object.fromEntries($$('.place', lists).map(li => [li.dataset.letter, li])), letters = Object.keys(places);
const grab = letter => $('[data-grab]', places[letter]), number = letter => $('input', places[letter]);
const fill = (text, words) => text.replace(/%([a-z])/g, (all, k) => words[k] ?? all);
let order = moves.fromPlaces(letters, {}), held = null, before = null, nudged = false, busy = false;

/* ---- what is shown ---- */
function inWords(letter) {
  const at = order.groups.findIndex(g => g.includes(letter)); if (at < 0) return said.saidUnranked;
  const others = order.groups[at].filter(l => l !== letter).map(l => l.toUpperCase()).join(', ');
  return fill(others ? said.saidTied : said.saidPlace, { r: at + 1, m: order.groups.length, o: others });
}
/* Written places stay as they were written until something is moved: who means 2 and has not written 1 yet must find 2. */
function render(written) {
  const focused = document.activeElement, inOrder = order.groups.flat();
  inOrder.forEach((l, i) => { if (ranked.children[i] !== places[l]) ranked.insertBefore(places[l], ranked.children[i] || null); });
  order.rest.forEach((l, i) => { if (unranked.children[i] !== places[l]) unranked.insertBefore(places[l], unranked.children[i] || null); });
  for (const l of letters) {
    const li = places[l], at = order.groups.findIndex(g => g.includes(l)), tied = at >= 0 && order.groups[at][0] !== l, name = l.toUpperCase();
    if (!written) number(l).value = at < 0 ? '' : at + 1; li.toggleAttribute('data-tied', tied); li.toggleAttribute('data-held', held === l);
    $('[data-said]', li).textContent = fill(said.label, { n: name, p: inWords(l) }); grab(l).setAttribute('aria-pressed', held === l);
    const tie = $('[data-tie]', li); tie.setAttribute('aria-pressed', tied); tie.disabled = at < 0 || inOrder[0] === l;
    $(`[data-place-of="${l}"]`).textContent = at < 0 ? '' : inWords(l);
  }
  $('[data-ranked-empty]').hidden = inOrder.length > 0; unranked.toggleAttribute('data-empty', !order.rest.length);
  if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
}
function change(next, letter, how = said.label, written = false) { order = next; render(written); touched(); if (letter) say(fill(how, { n: letter.toUpperCase(), p: inWords(letter) })); }
function tell(text, kind = '') { line.textContent = text || question; line.dataset.kind = kind; }

/* ---- keys on a letter ---- */
function take(letter) { held = letter; before = order; render(); say(fill(said.saidGrabbed, { n: letter.toUpperCase() })); }
function put(letter) { held = null; before = null; render(); say(fill(said.saidDropped, { n: letter.toUpperCase(), p: inWords(letter) })); }
function back() { const letter = held; held = null; order = before; before = null; change(order, letter, said.saidBack); }
const neighbour = (letter, by) => { const all = [...order.groups.flat(), ...order.rest]; return all[(all.indexOf(letter) + by + all.length) % all.length]; };
function onLetter(letter, k) {
  if (k === ' ') { if (held === letter) put(letter); else take(letter); } else if (k === 'escape' && held) back();
  else if (k === 'arrowup' || k === 'arrowdown') { const by = k === 'arrowup' ? -1 : 1; if (held === letter) change(moves.step(order, letter, by), letter); else grab(neighbour(letter, by)).focus(); }
  else if (k === 'home' && held === letter) change(moves.put(order, letter, 0), letter);
  else if (k === 'end' && held === letter) change(moves.put(order, letter, order.groups.length), letter);
  else if (k === '=' || k === '+') change(moves.tie(order, letter), letter);
  else if (k === '0') change(moves.leave(order, letter), letter);
  else if (/^[1-8]$/.test(k)) change(moves.put(order, letter, +k - 1), letter);
  else return false;
  return true;
}
lists.addEventListener('click', e => {
  const letter = e.target.closest('.place')?.dataset.letter;
  if (e.target.closest('[data-tie]')) change(moves.tie(order, letter), letter);
  else if (e.target.closest('[data-grab]') && !dragged) { if (held === letter) put(letter); else { if (held) put(held); take(letter); } }
});
/* Some browsers press a button when Space is let go, whatever became of the key. */
lists.addEventListener('keyup', e => { if (e.key === ' ' && e.target.matches('[data-grab]')) e.preventDefault(); });
lists.addEventListener('focusout', e => { if (held && e.target === grab(held) && e.relatedTarget && !e.relatedTarget.matches('[data-grab]')) put(held); });
/* A written place: equal numbers are a tie, as without this script. */
lists.addEventListener('change', e => {
  if (!e.target.matches('.place__number')) return;
  const letter = e.target.closest('.place').dataset.letter;
  change(moves.fromPlaces([...order.groups.flat(), ...order.rest], Object.fromEntries(letters.map(l => [l, number(l).value]))), letter, said.label, true);
});

/* ---- dragging: mouse, pen and finger ---- */
let drag = null, dragged = false;
function target(y) {
  const box = unranked.getBoundingClientRect(); if (order.groups.length ? y > box.top - 8 : y > box.top + 8) return { rest: true };
  const rows = order.groups.flat().filter(l => l !== drag.letter), at = rows.findIndex(l => { const r = places[l].getBoundingClientRect(); return y < r.top + r.height / 2; });
  return { above: at < 0 ? null : rows[at] };
}
function mark(to) {
  $$('[data-drop]', lists).forEach(n => n.removeAttribute('data-drop')); if (!to) return;
  if (to.rest) unranked.dataset.drop = ''; else if (to.above) places[to.above].dataset.drop = 'above'; else ranked.dataset.drop = 'end';
}
lists.addEventListener('pointerdown', e => {
  const handle = e.target.closest('[data-grab]'); if (!handle || e.button) return;
  dragged = false; drag = { letter: handle.closest('.place').dataset.letter, x: e.clientX, y: e.clientY, id: e.pointerId, on: false };
});
addEventListener('pointermove', e => {
  if (!drag || e.pointerId !== drag.id) return;
  if (!drag.on && Math.hypot(e.clientX - drag.x, e.clientY - drag.y) < 6) return;
  drag.on = dragged = true; const li = places[drag.letter]; li.setAttribute('data-dragged', ''); li.style.translate = `0 ${Math.round(e.clientY - drag.y)}px`; mark(target(e.clientY));
  if (e.clientY > innerHeight - 48) scrollBy(0, 12); else if (e.clientY < 48) scrollBy(0, -12);
});
function drop(e) {
  if (!drag || e.pointerId !== drag.id) return;
  const { letter, on } = drag, to = on && e.type === 'pointerup' ? target(e.clientY) : null, li = places[letter];
  li.removeAttribute('data-dragged'); li.style.translate = ''; mark(null); drag = null; setTimeout(() => { dragged = false; });
  if (!to) return; held = null;
  change(to.rest ? moves.leave(order, letter) : moves.above(order, letter, to.above), letter, said.saidDropped);
}
addEventListener('pointerup', drop); addEventListener('pointercancel', drop);

/* ---- what was entered: kept here at once, on the server soon after ---- */
const name = `rank:${editing ? 'edit:' : ''}${form.turn.value}:${form.claim.value}`;
const read = () => ({ place: moves.toPlaces(order, letters), note: note.value, skip: form.skip.checked ? '1' : '', skip_reason: form.skip_reason.value, flag: $$('[name="flag"]:checked', form).map(f => f.value) });
const versions = new Versions();
let timer, edits = 0, unsaved = false;
function state(kind) { const discard = $('[data-act="discard"]'); if (discard) discard.hidden = !unsaved; const out = $('[data-save]'); out.dataset.kind = kind; $('[data-save-text]').textContent = !kept && ['local', 'offline'].includes(kind) ? phrase('window_only') : out.dataset[kind]; }
/* What is kept here says which drafts of the server it may replace. */
let kept = true;
guard.also = () => unsaved && !kept;
const keepHere = (sent = false) => kept = store.set(name, { ...read(), at: Date.now(), ...versions.kept(), sent, revision: form.revision?.value });
function touched() {
  nudged = false; edits += 1; unsaved = true; tell(''); keepHere(); clearTimeout(timer);
  if (editing) return state('local'); if (!navigator.onLine) return state('offline');
  state(another() ? 'local' : 'saving'); timer = setTimeout(send, 600);
}
async function send(keepalive) {
  clearTimeout(timer); if (editing || busy || !unsaved) return;
  /* The choice has gone when one of the two says nothing any more: the newest is asked for, and that one stands. */
  if (another() && !agreed(read(), another().draft)) { ask(); return state('local'); }
  settled();
  const then = edits, beyond = versions.beyond(), version = versions.next(); keepHere();
  const fields = new URLSearchParams({ turn: form.turn.value, claim: form.claim.value, version, body: JSON.stringify(read()) }); beyond.forEach(one => fields.append('beyond', one));
  const { status, data } = await quietly(post(cfg.rankDraft, fields, { keepalive: keepalive === true && fields.toString().length < 60000 }));
  if (status === 204) { versions.stored(version); keepHere(then === edits); if (then === edits) { unsaved = false; state('saved'); } return unstand('session'); }
  if (data.draft) return overtakenBy(data);
  if (locked(status, data)) return state('local');
  if (later(status)) { state('offline'); timer = setTimeout(send, 10000); return; }
  state('local'); if (status === 409) stand({ about: 'lease', kind: 'kept', text: data.error || said.elsewhere, href: cfg.rank, link: said.goon });
}
/* Another device has stored one that this page has not seen. Where only one of the two says anything, it stands. */
const plain = f => JSON.stringify([letters.map(l => `${f.place?.[l] ?? ''}`), f.note || '', f.skip || '', f.skip_reason || '', f.flag || []]);
const blank = f => plain(f) === plain({});
const agreed = (mine, theirs) => blank(mine) || blank(theirs) || plain(mine) === plain(theirs);
function overtakenBy(other) {
  const mine = read();
  if (!agreed(mine, other.draft)) { state('local'); return offerOther({ other, told, mine: read, take: takeOther, keep: () => { versions.start(other.version); keepHere(); state('saving'); send(); } }); }
  if (blank(mine) || !blank(other.draft)) return takeOther(other);
  versions.start(other.version); send();
}
function takeOther({ version, draft }) {
  versions.start(version); setForm(draft); order = moves.fromPlaces(letters, draft.place || {}); held = before = null; render();
  unsaved = false; keepHere(true); state('saved'); say(phrase('other_taken'));
}
function told(f) {
  const { groups, rest } = moves.fromPlaces(letters, f.place || {}), name = l => l.toUpperCase();
  return [f.skip ? $(`option[value="${CSS.escape(f.skip_reason)}"]`, form.skip_reason)?.textContent : groups.map(g => g.map(name).join(' = ')).join(' > '), !f.skip && rest.length && `${said.saidUnranked}: ${rest.map(name).join(', ')}`, f.note, f.flag?.length && phrase('flagged')];
}
function setForm(f) { note.value = f.note || ''; form.skip.checked = !!f.skip; form.skip_reason.value = f.skip_reason || ''; $$('[name="flag"]', form).forEach(b => { b.checked = !!f.flag?.includes(b.value); }); $('[data-more]').open = !!(f.skip || f.flag?.length); }
/* The same lineup in another order: letters mean something else now, but what was written about it still holds. */
const leftBehind = () => store.all(`rank:${form.turn.value}:`).filter(k => k !== name).map(k => store.get(k)).filter(one => one?.note).sort((one, other) => other.at - one.at)[0];
let overtaken = false;
function start() {
  /* An unsaved change of a ranking that has been changed since is offered, and never laid over what is stored. */
  const local = store.get(name), server = embedded('draft'), there = server?.version || 0; overtaken = editing && !!local && local.revision !== form.revision.value;
  const newest = local && !overtaken && (editing || !server || !local.sent || Versions.ofOurs(local, there)) ? local : server, found = newest?.place || Object.fromEntries(letters.map(l => [l, number(l).value]));
  if (local?.tried && newest === local) versions.start(local.base, local.tried, local.past); else versions.start(there);
  order = moves.fromPlaces(letters, found);
  if (local && newest !== local) { if (!local.sent && !(newest?.note ?? note.value).includes(local.note)) keep({ note: local.note, text: phrase('a_draft'), at: local.at }); store.drop(name); }
  if (newest) setForm(newest);
  const left = newest || editing ? null : leftBehind(); if (left) note.value = left.note;
  render(); if (editing && newest) { unsaved = true; state('local'); } else state(server ? 'saved' : 'empty'); if (left) touched(); if (local && newest === local && !editing && !(local.sent && local.base === there)) { unsaved = true; timer = setTimeout(send, 600); }
}
form.addEventListener('input', e => { if (!e.target.matches('.place__number')) { if (e.target === form.skip_reason && form.skip_reason.value) form.skip.checked = true; touched(); } });
document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') send(true); });
addEventListener('pagehide', () => send(true)); addEventListener('online', () => send());

/* ---- sent: under one key until the server has it ---- */
const wrong = (text, where) => { tell(text, 'error'); $('[data-alert]').textContent = text; where?.focus(); };
form.addEventListener('submit', async e => {
  e.preventDefault(); if (busy) return; const f = read(); if (held) put(held);
  if (f.skip ? !f.skip_reason : order.groups.flat().length < 2) return wrong(f.skip ? said.reason : said.two, f.skip ? form.skip_reason : grab(order.rest[0] || letters[0]));
  if (!f.skip && order.rest.length && !nudged) { nudged = true; const t = fill(said.partial, { o: order.rest.map(l => l.toUpperCase()).join(', ') }); tell(t, 'nudge'); say(t); return; }
  if (!editing && heldBack()) return tell(phrase('guideline_first'), 'nudge');
  if (warn()) return tell(phrase('versions_first'), 'nudge');
  busy = true; form.setAttribute('aria-busy', 'true'); clearTimeout(timer);
  const fields = new URLSearchParams(new FormData(form)); letters.forEach(l => fields.set(`place-${l}`, f.place[l])); fields.set('active_ms', active()); fields.set('client', `rank 1 ${view()}`);
  if (!editing) versions.beyond().forEach(one => fields.append('beyond', one));
  const { status, data } = await quietly(post(form.action, fields));
  busy = false; form.removeAttribute('aria-busy');
  if (status === 200) { keepUnseen(f, data.unseen); store.drop(name); unsaved = false; passed.set({ text: data.saved.text, undo: !editing }); return location.assign(data.next); }
  if (locked(status, data)) return wrong(said.signin);
  wrong(later(status) ? said.failed : data.error || said.wrong, data.field === 'note' ? note : null); state('local');
  if (status === 409) stand({ about: 'lease', kind: 'kept', text: said.elsewhere, href: cfg.rank, link: said.goon });
});
async function undo() {
  if (busy || editing) return; busy = true; const { status, data } = await quietly(post(cfg.rankUndo, new URLSearchParams())); busy = false;
  if (status !== 200) return refused(status, data); passed.set({ text: said.reopened }); location.assign(data.next);
}

/* ---- time: visible, in focus, and not idle for more than a minute ---- */
let ms = 0, since = 0, beaten = Date.now();
const awake = () => document.visibilityState === 'visible' && document.hasFocus();
function active() { const now = performance.now(); if (since) ms += Math.min(now - since, 60000); since = awake() ? now : 0; return Math.round(ms); }
['keydown', 'pointerdown', 'pointermove', 'wheel', 'touchmove'].forEach(t => addEventListener(t, () => {
  active(); if (!editing && Date.now() - beaten > cfg.lease * 20000) { beaten = Date.now(); quietly(post(cfg.rankBeat, new URLSearchParams())); }
}, { passive: true, capture: true }));
['focus', 'blur'].forEach(t => addEventListener(t, active)); document.addEventListener('visibilitychange', active);

/* ---- keys of the page ---- */
Object.assign(ACTS, { undo, discard: () => { store.drop(name); unsaved = false; location.reload(); }, shortcuts: () => toggle('shortcuts'), renew: () => location.assign(location.pathname) });
/* The same keys as on the judging page, own ones too. Undo and the guideline are heard by keys.js on every page. */
const OURS = ['shortcuts', 'order', 'note', 'skip', 'versions'];
Object.assign(ACTS, { order: () => grab(order.groups[0]?.[0] || order.rest[0]).focus(), note: () => note.focus(), skip: () => { $('[data-more]').open = true; form.skip.focus(); } });
bringKey('o', 'order');
const writing = t => t.matches('textarea, select, input:not([type="radio"], [type="checkbox"])');
document.addEventListener('keydown', e => {
  if (e.defaultPrevented || e.isComposing || e.altKey || $('dialog[open]')) return;
  const k = keyOf(e), t = e.target, letter = t.matches('[data-grab]') ? t.closest('.place').dataset.letter : '';
  if ((e.ctrlKey || e.metaKey) && k === 'enter') { e.preventDefault(); return form.requestSubmit(); }
  if ((e.ctrlKey || e.metaKey) && k === 'z' && !writing(t)) { e.preventDefault(); return undo(); }
  if (e.ctrlKey || e.metaKey) return;
  if (letter && onLetter(letter, k)) return e.preventDefault();
  if (k === 'escape' && writing(t)) return grab(letters[0]).focus();
  if (writing(t) || (k === 'enter' && t.closest('button, a, summary'))) return;
  if (k === 'enter') { e.preventDefault(); return form.requestSubmit(); }
  const act = store.get('single', true) && OURS.includes(actOf(k)) && ACTS[actOf(k)];
  if (act) { e.preventDefault(); act(); }
});
signOut(() => send());

/* ---- begin ---- */
store.all('rank:').forEach(k => { if (Date.now() - (store.get(k)?.at || 0) > 14 * 86400000) store.drop(k); });
const mistake = line.dataset.kind === 'error' ? line.textContent : '';
start(); active(); mathIn(form); if (mistake) tell(mistake, 'error'); $('[data-lists]').dataset.ready = '';
offerKept(); if (overtaken) stand({ about: 'kept', kind: 'kept', text: phrase('edit_overtaken'), kept: store.get('kept', []).length > 0 });
const heard = passed.get(); if (heard) echo(heard.text, heard);
/* A version of the guideline that was not acknowledged comes first. */
if ('unread' in cfg) showNews();
