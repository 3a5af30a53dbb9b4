/* Time and reading: how long somebody really worked, how much of each candidate was on the screen, how long the pair is
   theirs. Nothing here stands in the way of an answer. */
import { $, ACTS, cfg, clockTime, editing, phrase, store } from './kit.js';
import { echo, later, locked, post, quietly, stand, stands, unstand } from './server.js';

const bodies = { a: $('#body-a'), b: $('#body-b') };
/* Without a sign of life for this long, time stops counting. */
const IDLE = 60000, STRETCH = 50 * 60000;
export const clock = {
  ms: 0, since: 0, running: false, firstKey: null,
  lap() { const now = performance.now(); if (clock.running) { const more = Math.min(now - clock.since, IDLE); clock.ms += more; rest(more, now - clock.since); } clock.since = now; },
  turn() { clock.lap(); clock.running = document.visibilityState === 'visible' && document.hasFocus() && !$('#paused[open], #after[open]'); },
  reset() { clock.turn(); clock.ms = 0; clock.firstKey = null; },
  value() { clock.lap(); return Math.round(clock.ms); },
};
export const firstKey = () => { if (clock.firstKey === null) clock.firstKey = clock.value(); };
/* A hint after fifty minutes of work without a break of five, or once in that time where the server sees that somebody
   judges differently from how they usually do; never in the way. */
let worked = store.get('worked', { ms: 0, at: 0 });
function rest(more, gap) {
  const now = Date.now(); if (gap > 300000 || now - worked.at > 300000 + IDLE) worked = { ms: 0, at: now };
  const before = worked.ms; worked = { ...worked, ms: worked.ms + more, at: now };
  if (Math.floor(before / STRETCH) < Math.floor(worked.ms / STRETCH)) echo(phrase('break'), { kind: 'kept' });
}
function drifts() { if (worked.told) return; worked.told = true; echo(phrase('break_drift'), { kind: 'kept' }); }
export const keepPace = () => { clock.lap(); store.set('worked', worked); };

/* The share of each that was ever on the screen, counted in parts from its beginning to its end: who jumps to the end has
   not seen the middle. */
const PARTS = 100, parts = { a: new Uint8Array(PARTS), b: new Uint8Array(PARTS) };
export const seen = { a: 0, b: 0 };
export function unseen() { for (const s of ['a', 'b']) { parts[s].fill(0); seen[s] = 0; } }
export function look() {
  if (document.visibilityState !== 'visible') return;
  const bar = $('.verdict').getBoundingClientRect().top, bottom = Math.max(1, bar > innerHeight / 2 ? Math.min(innerHeight, bar) : innerHeight);
  for (const s of ['a', 'b']) {
    const b = bodies[s], r = b.getBoundingClientRect(); if (r.bottom <= 0 || r.top >= bottom) continue;
    const from = b.scrollTop + Math.max(0, -r.top), end = b.scrollTop + Math.min(r.bottom, bottom) - r.top + 2;
    for (let n = 0; n < PARTS; n += 1) { const y = (n + .5) / PARTS * b.scrollHeight; if (y >= from && y <= end) parts[s][n] = 1; }
    seen[s] = parts[s].reduce((sum, one) => sum + one, 0) / PARTS;
  }
}
let looking; export const lookSoon = () => { looking ||= requestAnimationFrame(() => { looking = 0; look(); }); };
addEventListener('scroll', lookSoon, { passive: true, capture: true }); addEventListener('resize', lookSoon);

/* ---- the lease: renewed while somebody works, counted down when it runs out ---- */
const LEASE = cfg.lease * 60000, WARN = Math.min(120000, LEASE / 4), EVERY = Math.min(300000, LEASE / 3);
let leaseEnds = Date.now() + LEASE, lastBeat = 0, beating = false, lastActive = Date.now();
export const leaseEnd = () => clockTime(leaseEnds);
async function beat() {
  if (editing || beating) return; beating = true; lastBeat = Date.now();
  const { status, data } = await quietly(post(cfg.beat, new URLSearchParams())); beating = false;
  if (status === 204 || status === 200) { leaseEnds = Date.now() + LEASE; unstand('lease'); if (data.rest) drifts(); } else if (!later(status)) locked(status, data);
}
ACTS.extend = () => beat();
export const active = () => { clock.lap(); lastActive = Date.now(); if (leaseEnds - lastActive < WARN && lastActive - lastBeat > 5000) beat(); };
['keydown', 'pointerdown', 'pointermove', 'wheel', 'touchmove'].forEach(t => addEventListener(t, active, { passive: true, capture: true }));
['focus', 'blur'].forEach(t => addEventListener(t, clock.turn));
document.addEventListener('visibilitychange', clock.turn); addEventListener('pagehide', keepPace);
const left = ms => `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, '0')}`;
let ticking;
function watch() {
  const now = Date.now(), ms = leaseEnds - now; clearTimeout(ticking);
  if (now - lastActive < EVERY && ms < LEASE - EVERY + 15000) beat();
  else if (ms < WARN && !stands('session')) stand(ms > 0 ? { about: 'lease', kind: 'kept', extend: true, text: phrase('goes_back_in', { time: left(ms) }), said: phrase('goes_back_at', { time: clockTime(leaseEnds) }) } : { about: 'lease', kind: 'kept', text: phrase('hold_over') });
  ticking = setTimeout(watch, ms > 0 && ms < WARN ? 1000 : 15000);
}
if (!editing) ticking = setTimeout(watch, 15000);
