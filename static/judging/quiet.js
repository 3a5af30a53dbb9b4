/* The pages around judging: nothing to judge, my answers. Undo, the guideline, and a look now and then for new pairs. */
import { $, ACTS, cfg, passed, phrase, say } from './kit.js';
import { atOnce, offerKept, rescue, sendQuietly, waiting } from './kept.js';
import './keys.js';
import { signOut } from './leaving.js';
import './overlays.js';
import { echo, get, post, quietly, refused } from './server.js';

let busy = false;
function arrived() { const t = phrase('pair_arrived'), out = $('[data-ready-said]'); if (out) { out.textContent = t; out.classList.remove('quiet'); say(t); } }
/* Answers that waited in this browser: whatever page opens next sends them, or says that they wait. */
let sending = null;
const send = () => sending ||= sendQuietly((one, status, data) => data.item && arrived()).finally(() => { sending = null; });
ACTS.undo = async () => {
  if (busy) return; busy = true;
  /* The latest answer may be one that waits here: it goes first, or the one before it would be taken back. */
  if (waiting()) await send(); if (waiting()) { busy = false; return echo(phrase('waits_still'), { kind: 'kept' }); }
  const { status, data } = await quietly(post(cfg.undo, new URLSearchParams())); busy = false;
  if (status === 200) { passed.set({ text: phrase('reopened') }); location.assign(cfg.judge); } else refused(status, data);
};
signOut(async () => { if (waiting()) await send(); });
rescue(); if (!('held' in cfg)) offerKept();
const said = passed.get();
if (said) echo(said.text, said);
if (waiting()) send();
addEventListener('online', () => { atOnce(); if (waiting()) send(); });
const kept = $('[data-waiting-note]'); if (kept && !waiting()) kept.textContent = phrase('nothing_waits');

/* Every two minutes while somebody looks, at once when they come back; longer and longer apart in an empty house. */
let pause = 120000, timer;
async function check() {
  clearTimeout(timer);
  if (document.visibilityState === 'visible') {
    const answer = await quietly(get(cfg.ready));
    if (answer.ok && (await answer.json()).ready) return arrived();
    pause = Math.min(pause * 1.5, 900000);
  }
  timer = setTimeout(check, pause);
}
if (cfg.ready) {
  timer = setTimeout(check, pause);
  document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible') { clearTimeout(timer); timer = setTimeout(check, 1000); } });
}
