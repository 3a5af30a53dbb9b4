/* Menus, dialogs, and the guideline, which is one key away. */
import { $, $$, ACTS, cfg, form, note, phrase, say } from './kit.js';
import { keyOf } from './keys.js';
import { mathIn } from './math.js';
import { get, post, quietly } from './server.js';

export const opener = id => $(`[data-menu="${id}"], [popovertarget="${id}"]`);
function place(menu) { const b = opener(menu.id).getBoundingClientRect(), m = menu.getBoundingClientRect(); const up = b.top > innerHeight / 2; menu.style.left = `${Math.round(Math.max(8, Math.min(b.left, innerWidth - m.width - 8)))}px`; menu.style.top = `${Math.round(up ? b.top - m.height - 6 : b.bottom + 6)}px`; }
$$('.menu').forEach(menu => {
  menu.addEventListener('toggle', e => { const open = e.newState === 'open'; opener(menu.id).setAttribute('aria-expanded', open); if (open && !menu.contains(document.activeElement)) $('.menu__item', menu).focus(); });
  menu.addEventListener('keydown', e => {
    const list = $$('.menu__item', menu), i = list.indexOf(document.activeElement), k = keyOf(e); e.stopPropagation();
    if (k === 'arrowdown' || k === 'arrowup') { e.preventDefault(); list[(i + (k === 'arrowdown' ? 1 : list.length - 1)) % list.length].focus(); }
    else if (k === 'home' || k === 'end') { e.preventDefault(); list.at(k === 'home' ? 0 : -1).focus(); }
    else if (k === 'tab') menu.hidePopover();
    else if (/^[1-9]$/.test(k) && list[k - 1]) { e.preventDefault(); list[k - 1].click(); }
  });
});
/* Placed and focused at once, not in the toggle event: a key that follows quickly belongs to the menu. */
export const openMenu = id => { const m = document.getElementById(id); if (m.matches(':popover-open')) m.hidePopover(); else { opener(id).focus({ preventScroll: true }); m.showPopover(); place(m); $('.menu__item', m).focus({ preventScroll: true }); } };
export const toggle = id => { const d = document.getElementById(id); if (!d) return; if (d.open) d.close(); else d.showModal(); };
$$('dialog').forEach(d => d.addEventListener('click', e => { if (e.target === d || e.target.closest('[data-close]')) d.close(); }));

/* A version that was not acknowledged is shown when the page opens, and holds an answer back: once, and the answer stays
   in the form. `unasked`: the dialog came by itself, and goes when it has been read. */
let news = 'unread' in cfg, unasked = false;
export function showNews() { unasked = true; if (!$('#guideline').open) guideline(); }
export function heldBack() {
  if (!news) return false; news = false; showNews();
  $('#guideline').addEventListener('close', () => say(phrase('guideline_first')), { once: true }); return true;
}
/* Another version came while this page was open. */
export function renewed() { news = true; delete $('[data-guideline-body]').dataset.loaded; }
async function guideline() {
  const d = $('#guideline'); if (!d) return; if (d.open) return d.close();
  d.showModal(); const body = $('[data-guideline-body]'), asked = form?.assignment.value || '';
  if (body.dataset.loaded === asked) return;
  try {
    const answer = await get(asked ? `${cfg.guideline}?assignment=${asked}` : cfg.guideline);
    if (!answer.ok) throw new Error(String(answer.status));
    body.innerHTML = await answer.text(); body.dataset.loaded = asked; $('[data-version]', d).textContent = $('[data-version-line]', body).content.textContent; await mathIn(body);
  } catch { body.textContent = phrase('guideline_not_loaded'); }
}
async function acknowledge(b) {
  const d = $('#guideline'), { version, of } = b.dataset, { status } = await quietly(post(cfg.guideline, new URLSearchParams({ version })));
  if (status !== 204) return say(phrase('not_saved_try_again'));
  news = false; $('[data-close]', d).focus(); $('[data-acknowledge]').replaceChildren(phrase('version_read'));
  /* This page is of an earlier version: its principles may be others. */
  if (of !== cfg.guidelineId && ACTS.renew) return ACTS.renew();
  if (unasked) d.close(); unasked = false; say(phrase('version_read'));
}
/* A paragraph that decided goes into the reason with its number and version, so that it can be found again. */
function cite(b) {
  if (!note) return;
  const words = $('[data-paragraph]', b.closest('li')).textContent.trim().replace(/\s+/g, ' '), start = [...words].slice(0, 90).join('');
  note.value = `${note.value.trimEnd()}${note.value.trim() ? '\n' : ''}“${start}${start === words ? '' : '…'}” (${b.dataset.cite})\n`;
  note.dispatchEvent(new Event('input', { bubbles: true })); $('#guideline').close(); note.focus(); note.setSelectionRange(note.value.length, note.value.length);
}
Object.assign(ACTS, { guideline, acknowledge, cite, shortcuts: () => toggle('shortcuts') });
document.addEventListener('click', e => {
  const b = e.target.closest('[data-act], [data-menu]'); if (!b) return;
  if (b.dataset.menu) return openMenu(b.dataset.menu);
  if (b.tagName === 'A') { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); }
  ACTS[b.dataset.act]?.(b);
});
