/* The pages around ranking: nothing to rank, my rankings. Undo takes back the last ranking. */
import { ACTS, cfg, passed } from '../judging/kit.js';
import '../judging/keys.js';
import { signOut } from '../judging/leaving.js';
import '../judging/overlays.js';
import { echo, post, quietly, refused } from '../judging/server.js';

let busy = false;
ACTS.undo = async () => {
  if (busy) return; busy = true;
  const { status, data } = await quietly(post(cfg.rankUndo, new URLSearchParams())); busy = false;
  if (status === 200) location.assign(data.next); else refused(status, data);
};
signOut(() => {});
const said = passed.get();
if (said) echo(said.text, said);
