/* Talking to the server, and the line in the top bar: what was stored, or what stands in the way. */
import { $, phrase, say, store } from './kit.js';

const token = () => $('[name="csrfmiddlewaretoken"]').value;
export async function post(url, fields, { signal, keepalive = false } = {}) {
  const limit = AbortSignal.timeout(15000);
  const answer = await fetch(url, { method: 'POST', body: fields, keepalive, redirect: 'manual', credentials: 'same-origin', headers: { 'X-Plumbline': '1', 'X-CSRFToken': token() }, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  const status = answer.type === 'opaqueredirect' ? 401 : answer.status;
  const data = (answer.headers.get('content-type') || '').includes('json') ? await answer.json() : {};
  return { status, data };
}
export const get = url => fetch(url, { credentials: 'same-origin', headers: { 'X-Plumbline': '1' } });
/* True when the same request may succeed later: no connection, or a server that is starting or overloaded. */
export const later = status => status === 0 || status === 429 || status >= 500;
export const quietly = promise => promise.catch(error => ({ status: 0, data: {}, error }));

const box = $('[data-echo]');
let echoTimer, standing = null;
function fill({ text, kind = '', undo = false, href = '', link = '', kept = false, extend = false, versions = false }) {
  box.hidden = true; void box.offsetWidth;
  $('[data-echo-text]').textContent = text; box.dataset.kind = kind;
  $('[data-echo-undo]').hidden = !undo; $('[data-echo-extend]').hidden = !extend; $('[data-echo-versions]').hidden = !versions;
  const a = $('[data-echo-link]'); a.hidden = !href; if (href) { a.href = href; a.textContent = link; }
  $('[data-echo-kept]').hidden = !kept; box.hidden = false;
}
export function echo(text, { kind = '', undo = false, more = '' } = {}) {
  fill({ text, kind, undo }); say(`${text}${more}`); clearTimeout(echoTimer);
  const close = () => { if (box.matches(':hover, :focus-within')) { echoTimer = setTimeout(close, 1000); return; } if (standing) fill(standing); else box.hidden = true; };
  echoTimer = setTimeout(close, 5000);
}
/* A notice that stays. `said` is what a screen reader hears, once per notice: a countdown is not read out. */
export function stand(notice) {
  const heard = notice.said || notice.text, same = (standing?.said || standing?.text) === heard;
  if (same && standing && !box.hidden) $('[data-echo-text]').textContent = notice.text; else { clearTimeout(echoTimer); fill(notice); }
  standing = notice; if (!same) say(heard);
}
export const stands = about => standing?.about === about;
export function unstand(about) { if (standing && (!about || standing.about === about)) { standing = null; box.hidden = true; } }
export function endEcho() { clearTimeout(echoTimer); box.hidden = true; if (standing) fill(standing); }
/* What the browser did not keep is lost with the page, also on the way to the sign-in. */
export const signedOut = data => stand({ about: 'session', kind: 'kept', text: store.unkept('') ? phrase('signed_out_window') : phrase('signed_out'), href: `${data?.sign_in || '/accounts/login/'}?next=${encodeURIComponent(location.pathname)}`, link: phrase('sign_in_again') });
export const tooOld = () => stand({ about: 'session', kind: 'kept', text: phrase('page_too_old'), href: location.pathname, link: phrase('load_again') });
/* True when the reply says that the sign-in has ended. */
export function locked(status, data) { if (status === 401) signedOut(data); else if (status === 403) tooOld(); return status === 401 || status === 403; }
export function refused(status, data) {
  if (!locked(status, data)) echo(later(status) ? phrase('no_connection') : data.error || phrase('server_said', { status }), { kind: 'kept' });
}
