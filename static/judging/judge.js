/* Plumbline, judging page. The form works without this script; the script adds keys, drafts, the queue and the next pair
   without a page load. No framework, no inline handlers: it runs under a policy that allows this file's nonce only. */
(() => {
  'use strict';
  const $ = (s, el = document) => el.querySelector(s);
  const $$ = (s, el = document) => [...el.querySelectorAll(s)];
  const nonce = document.currentScript.nonce, cfg = document.body.dataset, editing = 'editing' in cfg;
  const form = $('#judging'), note = $('#note'), live = $('[data-live]');
  const judging = cfg.state === 'judging';
  const CLIENT = 'page 1';
  const VERDICTS = { a3: 'A much better', a2: 'A better', a1: 'A slightly better', same: 'About the same', b1: 'B slightly better', b2: 'B better', b3: 'B much better', bad: 'Both bad' };
  if (document.querySelector('.scale[data-points="2"]')) Object.assign(VERDICTS, { a1: 'A better', b1: 'B better' });
  const plural = (n, w) => `${n} ${w}${n === 1 ? '' : 's'}`;
  const say = t => { live.textContent = ''; requestAnimationFrame(() => { live.textContent = t; }); };
  const parse = (text, otherwise) => { try { return JSON.parse(text) ?? otherwise; } catch { return otherwise; } };
  const embedded = id => parse(document.getElementById(id)?.textContent, null);

  /* ---- what this browser keeps, per annotator ---- */
  const store = {
    name: k => `plumbline:${cfg.me}:${k}`,
    get: (k, otherwise = null) => { try { return parse(localStorage.getItem(store.name(k)), otherwise); } catch { return otherwise; } },
    set: (k, v) => { try { localStorage.setItem(store.name(k), JSON.stringify(v)); return true; } catch { return false; } },
    drop: k => { try { localStorage.removeItem(store.name(k)); } catch { /* blocked: there is nothing to drop */ } },
    all: start => { try { return Object.keys(localStorage).filter(k => k.startsWith(store.name(start))).map(k => k.slice(store.name('').length)); } catch { return []; } },
  };
  const passed = { get: () => { try { const t = sessionStorage.getItem('plumbline:said'); sessionStorage.removeItem('plumbline:said'); return parse(t, null); } catch { return null; } }, set: v => { try { sessionStorage.setItem('plumbline:said', JSON.stringify(v)); } catch { /* the answer is saved; only the echo is lost */ } } };

  /* ---- talking to the server ---- */
  const token = () => $('[name="csrfmiddlewaretoken"]').value;
  async function post(url, fields, { signal, keepalive = false } = {}) {
    const limit = AbortSignal.timeout(15000);
    const answer = await fetch(url, { method: 'POST', body: fields, keepalive, redirect: 'manual', credentials: 'same-origin', headers: { 'X-Plumbline': '1', 'X-CSRFToken': token() }, signal: signal ? AbortSignal.any([signal, limit]) : limit });
    const status = answer.type === 'opaqueredirect' ? 401 : answer.status;
    const data = (answer.headers.get('content-type') || '').includes('json') ? await answer.json() : {};
    return { status, data };
  }
  /* True when the same request may succeed later: no connection, or a server that is starting or overloaded. */
  const later = status => status === 0 || status === 429 || status >= 500;
  const quietly = promise => promise.catch(error => ({ status: 0, data: {}, error }));

  /* ---- the echo in the top bar: what was stored, or what stands in the way ---- */
  const box = $('[data-echo]');
  let echoTimer, standing = null;
  function fillEcho({ text, kind = '', undo = false, href = '', link = '', kept = false }) {
    box.hidden = true; void box.offsetWidth;
    $('[data-echo-text]').textContent = text; box.dataset.kind = kind;
    $('[data-echo-undo]').hidden = !undo;
    const a = $('[data-echo-link]'); a.hidden = !href; if (href) { a.href = href; a.textContent = link; }
    $('[data-echo-kept]').hidden = !kept; box.hidden = false;
  }
  function echo(text, { kind = '', undo = false, more = '' } = {}) {
    fillEcho({ text, kind, undo }); say(`${text}${more}`); clearTimeout(echoTimer);
    const close = () => { if (box.matches(':hover, :focus-within')) { echoTimer = setTimeout(close, 1000); return; } if (standing) fillEcho(standing); else box.hidden = true; };
    echoTimer = setTimeout(close, 5000);
  }
  function stand(notice) { const same = standing?.text === notice.text; standing = notice; clearTimeout(echoTimer); fillEcho(notice); if (!same) say(notice.text); }
  function unstand(about) { if (standing && (!about || standing.about === about)) { standing = null; box.hidden = true; } }
  const signedOut = data => stand({ about: 'session', kind: 'kept', text: 'You are signed out. Your text is kept here.', href: `${data?.sign_in || '/accounts/login/'}?next=${encodeURIComponent(location.pathname)}`, link: 'Sign in again' });
  const tooOld = () => stand({ about: 'session', kind: 'kept', text: 'This page is older than your sign-in. Your text is kept here.', href: location.pathname, link: 'Load it again' });

  /* ---- menus, dialogs ---- */
  const opener = id => $(`[data-menu="${id}"], [popovertarget="${id}"]`);
  function place(menu) { const b = opener(menu.id).getBoundingClientRect(), m = menu.getBoundingClientRect(); const up = b.top > innerHeight / 2; menu.style.left = `${Math.round(Math.max(8, Math.min(b.left, innerWidth - m.width - 8)))}px`; menu.style.top = `${Math.round(up ? b.top - m.height - 6 : b.bottom + 6)}px`; }
  $$('.menu').forEach(menu => {
    menu.addEventListener('toggle', e => { const open = e.newState === 'open'; opener(menu.id).setAttribute('aria-expanded', open); if (open && !menu.contains(document.activeElement)) $('.menu__item', menu).focus(); });
    menu.addEventListener('keydown', e => {
      const list = $$('.menu__item', menu), i = list.indexOf(document.activeElement), k = key(e); e.stopPropagation();
      if (k === 'arrowdown' || k === 'arrowup') { e.preventDefault(); list[(i + (k === 'arrowdown' ? 1 : list.length - 1)) % list.length].focus(); }
      else if (k === 'home' || k === 'end') { e.preventDefault(); list.at(k === 'home' ? 0 : -1).focus(); }
      else if (k === 'tab') menu.hidePopover();
      else if (/^[1-9]$/.test(k) && list[k - 1]) { e.preventDefault(); list[k - 1].click(); }
    });
  });
  const openMenu = id => { const m = document.getElementById(id); if (m.matches(':popover-open')) m.hidePopover(); else { opener(id).focus({ preventScroll: true }); m.showPopover(); place(m); /* At once, not in the toggle event: a key that follows quickly belongs to the menu. */ $('.menu__item', m).focus({ preventScroll: true }); } };
  const toggle = id => { const d = document.getElementById(id); if (!d) return; if (d.open) d.close(); else d.showModal(); };
  $$('dialog').forEach(d => d.addEventListener('click', e => { if (e.target === d || e.target.closest('[data-close]')) d.close(); }));

  /* ---- the guideline, one key away ---- */
  async function guideline() {
    const d = $('#guideline'); if (!d) return; if (d.open) return d.close();
    d.showModal(); const body = $('[data-guideline-body]');
    if (body.dataset.loaded) return;
    try {
      const answer = await fetch(cfg.guideline, { credentials: 'same-origin', headers: { 'X-Plumbline': '1' } });
      if (!answer.ok) throw new Error(String(answer.status));
      body.innerHTML = await answer.text(); body.dataset.loaded = ''; await mathIn(body);
    } catch { body.textContent = 'The guideline did not load. Close this and try again in a moment.'; }
  }
  async function acknowledge() {
    const { status } = await quietly(post(cfg.guideline, new URLSearchParams()));
    if (status !== 204) return say('That was not saved. Try again in a moment.');
    $('[data-acknowledge]').replaceChildren('You have read this version.'); say('You have read this version.');
  }

  /* ---- mathematics, loaded only where there is some ---- */
  let loading;
  const hasMath = item => [item.prompt, item.a, item.b].some(html => html.includes('class="math '));
  function katex() {
    if (window.katex) return Promise.resolve();
    loading ||= new Promise((done, failed) => {
      if (!$(`link[href="${cfg.katexCss}"]`)) document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: cfg.katexCss }));
      const s = Object.assign(document.createElement('script'), { src: cfg.katex, onload: done, onerror: failed }); s.nonce = nonce; document.head.append(s);
    });
    return loading;
  }
  function setMath(root) {
    for (const node of $$('.math:not([data-set])', root)) {
      const out = document.createElement('span');
      /* What KaTeX cannot read stays as it was written. */
      try { window.katex.render(node.textContent, out, { displayMode: node.classList.contains('block'), throwOnError: true, strict: 'ignore', trust: false, maxExpand: 200, maxSize: 20 }); } catch { continue; }
      node.replaceChildren(...out.childNodes); node.dataset.set = '';
    }
  }
  async function mathIn(root) { if (!$('.math', root)) return; try { await katex(); setMath(root); } catch { /* the TeX stays readable */ } }

  /* ---- keys ---- */
  /* By position when the layout is not Latin (Arabic, Cyrillic, …) or when digits need Shift (AZERTY). */
  const key = e => /^[\x21-\x7e]$/.test(e.key) && !/^(Digit|Numpad)\d$/.test(e.code) ? e.key.toLowerCase() : e.key.length > 1 ? e.key.toLowerCase() : e.shiftKey ? e.key.toLowerCase() : /^(Key|Digit|Numpad)(.)$/.test(e.code) ? RegExp.$2.toLowerCase() : e.key.toLowerCase();
  let single = store.get('single', true);
  const MAP = { g: 'guideline', '?': 'shortcuts', u: 'undo', p: 'prompt', l: 'link', s: 'skip', f: 'flag', r: 'note', t: 'tags', j: 'down', k: 'up', '[': 'earlier_answer', ']': 'later_answer', enter: 'submit' };
  /* Keys keep their place on the seven-point scale; on a shorter one the outer keys choose the strongest answer there is. */
  const RULER = { 1: ['a3', 'a2', 'a1'], 2: ['a2', 'a1'], 3: ['a1'], 4: ['same'], 5: ['b1'], 6: ['b2', 'b1'], 7: ['b3', 'b2', 'b1'], 0: ['bad'] };
  const ACTS = { guideline, acknowledge, undo, shortcuts: () => toggle('shortcuts') };
  document.addEventListener('click', e => {
    const b = e.target.closest('[data-act], [data-menu]'); if (!b) return;
    if (b.dataset.menu) return openMenu(b.dataset.menu);
    if (b.tagName === 'A') { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); }
    ACTS[b.dataset.act]?.();
  });
  document.addEventListener('keydown', e => {
    if (e.defaultPrevented || e.isComposing || e.altKey) return;
    const k = key(e), t = e.target, writing = t.matches('textarea, select, [contenteditable], input:not([type="radio"], [type="checkbox"])'), dlg = $('dialog[open]');
    if (dlg) { if (single && !writing && ((k === 'g' && dlg.id === 'guideline') || (k === '?' && dlg.id === 'shortcuts'))) { e.preventDefault(); dlg.close(); } return; }
    if (!judging) { if (single && !writing && !e.ctrlKey && !e.metaKey && (k === 'g' || k === 'u') && ACTS[MAP[k]]) { e.preventDefault(); ACTS[MAP[k]](); } return; }
    if (k === 'escape') { if (writing) ($('[name="verdict"]:checked') || $('#item-heading')).focus({ preventScroll: true }); return; }
    if (e.ctrlKey || e.metaKey) {
      if (k === 'enter') { e.preventDefault(); form.requestSubmit(); }
      else if (k === 's') { e.preventDefault(); saveNow(); }
      else if (k === 'z' && !writing && !e.shiftKey) { e.preventDefault(); undo(); }
      return;
    }
    if (writing) return;
    if (k === 'enter' && t.closest('button, a, summary')) return;
    if (!single && k !== 'enter') return;
    if (RULER[k]) { e.preventDefault(); return choose(k); }
    if (MAP[k]) { e.preventDefault(); ACTS[MAP[k]]?.(); }
  });
  $('[data-sign-out]')?.addEventListener('submit', e => {
    const waiting = store.get('queue', []).length;
    if (waiting && !e.target.dataset.warned) { e.preventDefault(); e.target.dataset.warned = ''; return stand({ about: 'queue', kind: 'kept', text: `${plural(waiting, 'answer')} not sent yet. Sign out again to leave anyway.` }); }
    store.all('draft:').forEach(store.drop);
  });

  /* ---- undo: also on the page that says the queue is empty ---- */
  let busy = false;
  async function undo() {
    if (busy || editing) return;
    busy = true;
    try { await (judging ? takeBack() : takeBackFromEnd()); } finally { busy = false; }
  }
  async function takeBackFromEnd() {
    const { status, data } = await quietly(post(cfg.undo, new URLSearchParams()));
    if (status === 200) { passed.set({ text: 'Reopened. Your answer is as you left it.' }); location.assign(cfg.judge); }
    else refused(status, data);
  }
  function refused(status, data) {
    if (status === 401) signedOut(data); else if (status === 403) tooOld();
    else echo(later(status) ? 'No connection. Try again in a moment.' : data.error || `The server answered ${status}. Load the page again.`, { kind: 'kept' });
  }
  const said = passed.get();
  if (!judging) { if (said) echo(said.text, said); return; }

  /* ================================ from here on there is a pair on the screen ================================ */

  const slots = { prompt: $('[data-slot="prompt"]'), a: $('#body-a'), b: $('#body-b') }, bodies = { a: slots.a, b: slots.b };
  const QUESTION = $('[data-line]').dataset.question, required = cfg.rationale === 'required', asks = cfg.rationale !== 'off';
  let current = { assignment: +form.assignment.value, key: form.key.value, prompt: slots.prompt.innerHTML, a: slots.a.innerHTML, b: slots.b.innerHTML, prompt_lang: slots.prompt.lang, a_lang: slots.a.lang, b_lang: slots.b.lang, draft: embedded('draft'), position: +(/\d+/.exec($('[data-position]').textContent)?.[0] || 0) };
  let upcoming = editing ? [] : embedded('upcoming') || [], flags = new Set(), nudged = false, trusted = false, side = 'a', linked = false, lastSaved = null, unsent = null;

  /* ---- time on screen, share of each candidate seen ---- */
  const IDLE = 60000;
  const clock = {
    ms: 0, since: 0, running: false, firstKey: null,
    lap() { const now = performance.now(); if (clock.running) clock.ms += Math.min(now - clock.since, IDLE); clock.since = now; },
    turn() { clock.lap(); clock.running = document.visibilityState === 'visible' && document.hasFocus() && !$('#paused').open; },
    reset() { clock.turn(); clock.ms = 0; clock.firstKey = null; },
    value() { clock.lap(); return Math.round(clock.ms); },
  };
  let lastActive = Date.now();
  const active = () => { clock.lap(); lastActive = Date.now(); if (leaseEnds - lastActive < WARN && lastActive - lastBeat > 5000) beat(); };
  ['keydown', 'pointerdown', 'pointermove', 'wheel', 'touchmove'].forEach(t => addEventListener(t, active, { passive: true, capture: true }));
  ['focus', 'blur'].forEach(t => addEventListener(t, clock.turn));
  document.addEventListener('visibilitychange', () => { clock.turn(); if (document.visibilityState === 'hidden') saveNow(true); });
  addEventListener('pagehide', () => saveNow(true));
  const firstKey = () => { if (clock.firstKey === null) clock.firstKey = clock.value(); };
  const seen = { a: 0, b: 0 };
  function look() {
    if (document.visibilityState !== 'visible') return;
    const top = 0, bottom = Math.max(1, Math.min(innerHeight, $('.verdict').getBoundingClientRect().top > innerHeight / 2 ? $('.verdict').getBoundingClientRect().top : innerHeight));
    for (const s of ['a', 'b']) {
      const b = bodies[s], r = b.getBoundingClientRect(); if (r.bottom <= top || r.top >= bottom) continue;
      const end = b.scrollTop + Math.min(r.bottom, bottom) - r.top;
      seen[s] = Math.max(seen[s], Math.min(1, (end + 2) / Math.max(1, b.scrollHeight)));
    }
  }
  let looking; const lookSoon = () => { looking ||= requestAnimationFrame(() => { looking = 0; look(); }); };
  addEventListener('scroll', lookSoon, { passive: true, capture: true }); addEventListener('resize', lookSoon);

  /* ---- the lease: renewed while somebody works, warned of when it runs out ---- */
  const LEASE = cfg.lease * 60000, WARN = Math.min(120000, LEASE / 4);
  let leaseEnds = Date.now() + LEASE, lastBeat = 0, beating = false;
  const clockTime = ms => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  async function beat() {
    if (editing || beating) return; beating = true; lastBeat = Date.now();
    const { status, data } = await quietly(post(cfg.beat, new URLSearchParams())); beating = false;
    if (status === 204) { leaseEnds = Date.now() + LEASE; unstand('lease'); } else if (status === 401) signedOut(data); else if (status === 403) tooOld();
  }
  const every = Math.min(300000, LEASE / 3);
  if (!editing) setInterval(() => {
    const now = Date.now(), left = leaseEnds - now;
    if (now - lastActive < every && left < LEASE - every + 15000) beat();
    else if (left < WARN && standing?.about !== 'session') stand({ about: 'lease', kind: 'kept', text: left > 0 ? `This pair goes back at ${clockTime(leaseEnds)}. Press any key to keep it.` : 'Your hold on this pair has run out. What you wrote is kept here.' });
  }, 15000);

  /* ---- the form as data ---- */
  const verdict = () => $('[name="verdict"]:checked', form)?.value || '';
  const readForm = () => ({ verdict: verdict(), skip_reason: '', tag: $$('[name="tag"]:checked', form).map(t => t.value), note: note?.value || '', flag: [...flags] });
  const empty = f => !f.verdict && !f.note && !f.tag.length && !f.flag.length;
  function fillForm(f) {
    $$('[name="verdict"]', form).forEach(r => { r.checked = r.value === f?.verdict; });
    $$('[name="tag"]', form).forEach(t => { t.checked = !!f?.tag?.includes(t.value); });
    if (note) note.value = f?.note || '';
    flags = new Set(f?.flag || []); showFlags(); words(); line();
  }
  const segment = window.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity: 'word' }) : null;
  const countWords = s => segment ? [...segment.segment(s)].filter(w => w.isWordLike).length : s.split(/\s+/).filter(Boolean).length;
  function words() { if (!note) return 0; const n = countWords(note.value); $('[data-words]').textContent = n ? plural(n, 'word') : ''; return n; }
  function line(text, kind) { const p = $('[data-line]'), v = verdict(); p.textContent = text || (v ? VERDICTS[v] : QUESTION); p.dataset.kind = kind || (v ? 'chosen' : ''); p.title = text ? text : ''; }
  function choose(k) {
    const r = RULER[k].map(v => $(`[name="verdict"][value="${v}"]`, form)).find(Boolean);
    if (!r) return line(k === '4' ? 'This project asks for a decision: A or B' : 'This project does not offer both bad', 'nudge');
    firstKey(); r.checked = true; r.focus({ preventScroll: true }); r.dispatchEvent(new Event('input', { bubbles: true }));
  }
  function showFlags() {
    const b = $('[data-flag]'); b.toggleAttribute('data-on', flags.size > 0); $('[data-flag-label]').textContent = flags.size ? 'Flagged' : 'Flag';
    $$('[data-flag-as]').forEach(i => i.setAttribute('aria-checked', flags.has(i.dataset.flagAs)));
  }

  /* ---- drafts: this browser first, then the server ---- */
  let draftTimer, draftVersion = 0, edits = 0, draftSent = 0, sending = null;
  const queued = () => store.get('queue', []);
  /* crypto.randomUUID is missing on plain http. */
  const uuid = () => { const b = crypto.getRandomValues(new Uint8Array(16)); b[6] = b[6] & 15 | 64; b[8] = b[8] & 63 | 128; return [...b].map((n, i) => ([4, 6, 8, 10].includes(i) ? '-' : '') + n.toString(16).padStart(2, '0')).join(''); };
  const draftName = id => `draft:${editing ? 'edit:' : ''}${id}`;
  function save(kind, text) {
    const out = $('[data-save]'), was = out.dataset.kind, n = queued().length + (kind === 'offline' && !editing && unsaved ? 1 : 0);
    const words = text || { empty: '', saved: 'Saved', saving: 'Saving…', local: 'Kept on this device', offline: `Offline: kept here, ${n} waiting` }[kind];
    out.dataset.kind = kind; $('[data-save-text]').textContent = words;
    if (was !== kind && (kind === 'offline' || was === 'offline')) say(words);
  }
  let unsaved = false;
  function touched() {
    nudged = false; edits += 1; unsaved = true; firstKey();
    const kept = store.set(draftName(current.assignment), { ...readForm(), at: Date.now() });
    if (editing) return save('local', kept ? 'Kept here until you save' : 'Not saved yet');
    clearTimeout(draftTimer);
    if (!navigator.onLine) return save('offline', kept ? '' : 'Offline, and this browser keeps nothing');
    save('saving');
    /* 0.6 s after the last key; while somebody types without a pause, every 3 s. */
    draftTimer = setTimeout(sendDraft, Date.now() - draftSent > 3000 ? 50 : 600);
  }
  async function sendDraft(keepalive = false) {
    clearTimeout(draftTimer); if (editing || busy || !unsaved) return;
    const mine = current.assignment, at = edits; draftVersion = Math.max(draftVersion + 1, Date.now()); draftSent = Date.now();
    sending?.abort(); sending = new AbortController();
    const fields = new URLSearchParams({ assignment: mine, version: draftVersion, body: JSON.stringify(readForm()) });
    const { status, data, error } = await quietly(post(cfg.draft, fields, { signal: sending.signal, keepalive: keepalive && fields.toString().length < 60000 }));
    /* Another pair came meanwhile, or a newer draft is on its way: this answer says nothing any more. */
    if (mine !== current.assignment || error?.name === 'AbortError') return;
    if (status === 204) { unstand('session'); if (at === edits) { unsaved = false; save('saved'); } return; }
    if (status === 401) { signedOut(data); return save('local', 'Kept here'); }
    if (status === 403) { tooOld(); return save('local', 'Kept here'); }
    if (later(status)) { save('offline'); draftTimer = setTimeout(sendDraft, 10000); return; }
    save('local', 'Kept here');
    if (status === 409) stand({ about: 'lease', kind: 'kept', text: data.error || 'This pair is no longer yours. What you wrote is kept here.' });
    else line(data.error || 'The draft could not be saved', 'error');
  }
  const saveNow = keepalive => { if (unsaved) sendDraft(keepalive === true); };
  form.addEventListener('input', e => { if (e.target.name === 'verdict') line(); if (e.target === note) words(); touched(); });

  /* ---- one pair out, one in ---- */
  function newest(item) {
    const local = store.get(draftName(item.assignment)), server = item.draft;
    if (!local) return server;
    return !server || !server.version || local.at >= server.version ? local : server;
  }
  const piece = html => { const t = document.createElement('template'); t.innerHTML = html; return t.content; };
  function show(item) {
    current = item; form.assignment.value = item.assignment; form.key.value = item.key;
    for (const s of ['prompt', 'a', 'b']) {
      const content = piece(item[s]); if (window.katex) setMath(content);
      slots[s].replaceChildren(content); slots[s].lang = item[`${s}_lang`] || ''; slots[s].scrollTop = 0; slots[s].scrollLeft = 0;
    }
    $('[data-position]').textContent = `of pair ${item.position}`;
    form.hidden = false; $('#waiting').hidden = true; document.body.dataset.state = 'judging';
    arrive(); prepare();
  }
  function arrive() {
    nudged = false; unsaved = false; edits = 0; clearTimeout(draftTimer); sending?.abort();
    const draft = newest(current); fillForm(draft); save(draft && !empty({ tag: [], flag: [], ...draft }) ? (editing ? 'empty' : 'saved') : 'empty');
    if (draft && draft.at && !editing) { unsaved = true; draftTimer = setTimeout(sendDraft, 600); }
    setPrompt(true); setEarlier(false); scrollTo(0, 0);
    seen.a = 0; seen.b = 0; clock.reset(); lookSoon();
  }
  /* What the next pairs need is loaded while this one is read. */
  function prepare() { if (!hasMath(current) && !upcoming.some(hasMath)) return; katex().then(() => Object.values(slots).forEach(setMath), () => {}); }
  function counts(c) {
    if (!c) return; $$('[data-count]').forEach(n => { n.textContent = c.done_today; });
    const bar = $('#progress'); if (bar) { bar.value = c.done_today; if (c.goal) { bar.max = c.goal; $$('[data-goal]').forEach(n => { n.textContent = c.goal; }); } }
  }
  function advance(message) {
    const item = upcoming.shift();
    if (item) {
      show(item); $('#item-heading').focus({ preventScroll: true });
      if (message) echo(message.text, { ...message, more: `. Pair ${item.position}.` }); else say(`Pair ${item.position}`);
    } else if (queued().length) wait(message);
    else { if (message) passed.set(message); location.assign(cfg.judge); }
  }
  function wait(message) {
    current = { assignment: 0, key: '', prompt: '', a: '', b: '', position: 0 }; form.hidden = true; document.body.dataset.state = 'waiting';
    $('#waiting').hidden = false; const n = queued().length; $('[data-waiting-count]').textContent = `${plural(n, 'answer')} ${n === 1 ? 'is' : 'are'} kept here and not sent yet.`;
    $('#waiting-head').focus({ preventScroll: true }); if (message) echo(message.text, message);
  }

  /* ---- submitting: kept here first, then sent under the same key until the server has it ---- */
  const held = () => [current.assignment, ...upcoming.map(i => i.assignment)];
  function entry(f) {
    const p = new URLSearchParams({ assignment: current.assignment, key: form.key.value, verdict: f.verdict, skip_reason: f.skip_reason, note: f.note, active_ms: clock.value(), coverage_a: seen.a.toFixed(3), coverage_b: seen.b.toFixed(3), client: CLIENT });
    if (clock.firstKey !== null) p.set('first_key_ms', clock.firstKey);
    f.tag.forEach(t => p.append('tag', t)); f.flag.forEach(t => p.append('flag', t));
    const bits = [f.verdict === 'skip' ? 'Skipped' : VERDICTS[f.verdict]], n = f.note ? countWords(f.note) : 0; if (n) bits.push(plural(n, 'word')); if (f.flag.length) bits.push('flagged');
    return { assignment: current.assignment, key: form.key.value, body: p.toString(), note: f.note, text: bits.join(' · '), at: Date.now() };
  }
  const enqueue = one => store.set('queue', [...queued().filter(q => q.key !== one.key), one]);
  const dequeue = one => store.set('queue', queued().filter(q => q.key !== one.key));
  function deliver(one) { const p = new URLSearchParams(one.body); held().forEach(id => id && p.append('held', id)); return quietly(post(cfg.judge, p)); }
  function keep(one) { if (one.note) store.set('kept', [...store.get('kept', []), { note: one.note, text: one.text, at: one.at }]); }
  function add(item) { if (item && !held().includes(item.assignment)) upcoming.push(item); }

  form.addEventListener('submit', e => {
    e.preventDefault(); const f = readForm();
    if (!f.verdict) { const t = 'Choose an answer first'; line(t, 'error'); $('[data-alert]').textContent = t; $('[name="verdict"]', form).focus(); return; }
    if (asks && !f.note.trim() && !f.tag.length) {
      if (required) { const t = 'Say why first: a tag or a sentence'; line(t, 'error'); $('[data-alert]').textContent = t; ($('[name="tag"]', form) || note).focus(); return; }
      /* Warns once and never blocks twice: who sends without a reason has decided so, until a reason is given again. */
      if (!nudged && !trusted) { nudged = true; const t = 'No reason yet. Submit again to send without one.'; line(t, 'nudge'); say(t); return; }
      trusted = true;
    } else trusted = false;
    send(f);
  });
  async function send(f) {
    if (busy || !current.assignment) return;
    if (queued().some(q => q.assignment === current.assignment)) return flush();
    busy = true; clearTimeout(draftTimer); sending?.abort(); $('[data-alert]').textContent = ''; form.setAttribute('aria-busy', 'true');
    try { await (editing ? sendEdit(f) : sendNew(f)); } finally { busy = false; form.removeAttribute('aria-busy'); if (unsaved && !editing && $('[data-save]').dataset.kind === 'saving') draftTimer = setTimeout(sendDraft, 600); }
  }
  async function sendNew(f) {
    const one = entry(f), item = current; enqueue(one);
    const { status, data } = await deliver(one);
    if (status === 200) {
      settle(one, data); lastSaved = one.assignment; unsent = null; unstand('lease'); unstand('session');
      advance({ text: `Saved: ${data.saved.text}`, undo: true });
      if (queued().length) flush();
    } else if (later(status)) {
      unsent = { one, item, draft: f }; store.set(draftName(one.assignment), { ...f, at: Date.now() });
      advance({ text: `Kept here: ${one.text}`, kind: 'kept', undo: true }); save('offline'); retryLater();
    } else if (status === 409 && data.item) {
      dequeue(one); add(data.item); keep(one); store.drop(draftName(one.assignment));
      advance({ text: data.error, kind: 'kept' }); if (one.note) offerKept();
    } else if (status === 409 || status === 423) {
      /* Lost and nothing else to judge, or the project takes no answers now: everything stays in the form. */
      dequeue(one); line(data.error, 'error'); $('[data-alert]').textContent = data.error; save('local', 'Kept here');
      stand({ about: 'lease', kind: 'kept', text: 'Not saved. What you wrote is kept here.', href: cfg.judge, link: 'Go on' });
    } else {
      dequeue(one); unsaved = true;
      if (status === 401) signedOut(data); else if (status === 403) tooOld();
      const t = status === 401 || status === 403 ? 'Not sent: sign in again first' : data.error || `The server answered ${status}. Nothing was lost; try again.`;
      line(t, 'error'); $('[data-alert]').textContent = t; save('local');
      if (data.field === 'note' || data.field === 'tag') (note || form).focus?.();
    }
  }
  async function sendEdit(f) {
    const p = new URLSearchParams(entry(f).body); p.set('revision', form.revision.value);
    const { status, data } = await quietly(post(form.action, p));
    if (status === 200) { store.drop(draftName(current.assignment)); unsaved = false; passed.set({ text: `Saved: ${data.saved.text}` }); return location.assign(cfg.answers); }
    if (status === 401) signedOut(data); else if (status === 403) tooOld();
    const t = later(status) ? 'No connection: kept here. Try again in a moment.' : status === 401 || status === 403 ? 'Not sent: sign in again first' : data.error || `The server answered ${status}. Nothing was lost; try again.`;
    line(t, 'error'); $('[data-alert]').textContent = t; save('local');
  }
  function settle(one, data) { dequeue(one); store.drop(draftName(one.assignment)); add(data.item); counts(data.counts); }
  function offerKept() { stand({ about: 'kept', kind: 'kept', text: 'One answer could not be saved. Its text is kept here.', kept: true }); }

  /* ---- what waits is sent again: when the connection returns, and every so often ---- */
  let retryTimer, pause = 2000, flushing = false;
  function retryLater() { clearTimeout(retryTimer); retryTimer = setTimeout(flush, pause); pause = Math.min(pause * 2, 30000); }
  async function flush() {
    clearTimeout(retryTimer); if (flushing || editing) return; flushing = true;
    let sent = 0;
    try {
      for (const one of queued()) {
        const { status, data } = await deliver(one);
        if (later(status)) { retryLater(); save('offline'); return; }
        if (status === 401) { signedOut(data); return; }
        if (status === 403) { tooOld(); return; }
        if (status === 423) { stand({ about: 'queue', kind: 'kept', text: data.error }); return; }
        if (unsent?.one.key === one.key) unsent = null;
        if (status === 200) { settle(one, data); sent += 1; lastSaved = one.assignment; }
        else { dequeue(one); keep(one); store.drop(draftName(one.assignment)); add(data.item); if (one.note) offerKept(); else echo(data.error || 'One kept answer could not be saved.', { kind: 'kept' }); }
        upcoming = upcoming.filter(i => i.assignment !== one.assignment);
        if (current.assignment === one.assignment) advance();
      }
      pause = 2000;
    } finally { flushing = false; }
    if (sent) echo(`Sent: ${plural(sent, 'answer')} that waited here`);
    if (!current.assignment) advance(); else if (unsaved) sendDraft(); else save(empty(readForm()) ? 'empty' : 'saved');
  }
  addEventListener('online', () => { pause = 2000; flush(); });
  addEventListener('offline', () => { if (unsaved || queued().length) save('offline'); });

  async function takeBack() {
    if (unsent && !flushing && queued().some(q => q.key === unsent.one.key)) {
      /* A new key: should the server have the first answer after all, it will not take the second for the same. */
      const { one, item, draft } = unsent; dequeue(one); unsent = null; back({ ...item, key: uuid() }, draft); return;
    }
    saveNowLocal();
    const { status, data } = await quietly(post(cfg.undo, new URLSearchParams()));
    if (status !== 200) return refused(status, data);
    counts(data.counts); back(data.item, data.item.draft);
  }
  const saveNowLocal = () => { if (unsaved && current.assignment) store.set(draftName(current.assignment), { ...readForm(), at: Date.now() }); };
  function back(item, draft) {
    if (current.assignment && current.assignment !== item.assignment) upcoming.unshift(current);
    upcoming = upcoming.filter(i => i.assignment !== item.assignment); store.drop(draftName(item.assignment));
    clearTimeout(echoTimer); box.hidden = true; if (standing) fillEcho(standing);
    show({ ...item, draft }); fillForm(draft);
    ($('[name="verdict"]:checked', form) || $('#item-heading')).focus({ preventScroll: true }); say('Reopened. Your answer is as you left it.');
  }

  /* ---- skip, flag, texts that could not be saved ---- */
  $('#menu-skip').addEventListener('click', e => { const b = e.target.closest('[data-skip]'); if (!b) return; firstKey(); $('#menu-skip').hidePopover(); send({ ...readForm(), verdict: 'skip', skip_reason: b.dataset.skip }); });
  $('#menu-flag').addEventListener('click', e => {
    const b = e.target.closest('[data-flag-as]'); if (!b) return; const f = b.dataset.flagAs, text = $('span', b).textContent;
    if (flags.has(f)) flags.delete(f); else flags.add(f);
    showFlags(); touched(); say(flags.has(f) ? `Flagged: ${text}` : `Flag removed: ${text}`); $('#menu-flag').hidePopover(); opener('menu-flag').focus();
  });
  function showKept() {
    $('[data-kept-list]').replaceChildren(...store.get('kept', []).map(k => {
      const li = document.createElement('li'), p = document.createElement('p'), t = document.createElement('textarea');
      p.textContent = `${k.text}, ${new Date(k.at).toLocaleString()}`; t.value = k.note; t.readOnly = true; t.rows = 4; t.setAttribute('aria-label', 'Kept text'); li.append(p, t); return li;
    })); toggle('kept');
  }

  /* ---- reading: prompt, turns, scrolling ---- */
  function setPrompt(open) { const p = $('.prompt'); p.toggleAttribute('data-folded', !open); $('[data-act="prompt"]').setAttribute('aria-expanded', open); $('[data-prompt-label]').textContent = open ? 'Collapse' : 'Expand'; }
  function setEarlier(open) {
    const turns = $$('[data-earlier] > .turn', slots.prompt).length, b = $('[data-act="earlier"]');
    b.hidden = !turns; b.setAttribute('aria-expanded', open); slots.prompt.toggleAttribute('data-open', open); $('[data-earlier-label]').textContent = plural(turns, 'earlier turn');
  }
  let leader = null, rest;
  Object.entries(bodies).forEach(([s, b]) => b.addEventListener('scroll', () => {
    if (!linked || (leader && leader !== s)) return; leader = s; clearTimeout(rest); rest = setTimeout(() => { leader = null; }, 120);
    const o = bodies[s === 'a' ? 'b' : 'a']; o.scrollTop = b.scrollTop / Math.max(1, b.scrollHeight - b.clientHeight) * (o.scrollHeight - o.clientHeight);
  }, { passive: true }));
  ['focusin', 'pointerdown', 'pointerover'].forEach(t => document.addEventListener(t, e => { const c = e.target.closest?.('.cand'); if (c) side = c.dataset.side; }));
  const scrollPane = d => { const b = bodies[side], own = b.scrollHeight > b.clientHeight + 1 && getComputedStyle(b).overflowY === 'auto'; (own ? b : window).scrollBy({ top: d * (own ? b.clientHeight : innerHeight) * .4, behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' }); };
  const leave = url => { saveNow(true); location.assign(url); };
  Object.assign(ACTS, {
    prompt: () => setPrompt($('.prompt').hasAttribute('data-folded')), earlier: () => setEarlier(!slots.prompt.hasAttribute('data-open')),
    link: () => { linked = !linked; $('[data-act="link"]').setAttribute('aria-pressed', linked); say(linked ? 'Scrolling linked' : 'Scrolling not linked'); },
    skip: () => openMenu('menu-skip'), flag: () => openMenu('menu-flag'), note: () => note?.focus(), tags: () => $('[name="tag"]', form)?.focus(),
    down: () => scrollPane(1), up: () => scrollPane(-1), submit: () => { if (!form.hidden) form.requestSubmit(); }, retry: () => { pause = 2000; flush(); },
    pause: () => { $('[data-lease-end]').textContent = clockTime(leaseEnds); toggle('paused'); clock.turn(); },
    kept: showKept, forget: () => { store.drop('kept'); unstand('kept'); $('#kept').close(); },
    earlier_answer: () => leave(editing && cfg.earlier ? cfg.earlier : !editing && lastSaved ? `${cfg.answers}/${lastSaved}` : cfg.answers),
    later_answer: () => { if (editing) leave(cfg.later || cfg.judge); },
  });
  $('#paused').addEventListener('close', () => { clock.turn(); active(); });
  const sw = $('[data-single]'); sw.checked = single; sw.addEventListener('change', () => { single = sw.checked; store.set('single', single); });

  /* ---- begin ---- */
  /* A reset must not bring back what the server wrote into the form. Drafts of long ago are cleared away. */
  store.all('draft:').forEach(k => { if (Date.now() - (store.get(k)?.at || 0) > 14 * 86400000) store.drop(k); });
  const refusedBefore = $('[data-line]').dataset.kind === 'error' ? $('[data-line]').textContent : '';
  arrive(); prepare();
  if (editing) trusted = !readForm().note.trim() && !readForm().tag.length;
  if (refusedBefore) line(refusedBefore, 'error');
  if (said) echo(said.text, said); else if (store.get('kept', []).length) offerKept();
  if (queued().length) flush();
})();
