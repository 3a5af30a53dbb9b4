// Plumbline, the data lead's pages. Every form works without this file; it only answers sooner.
'use strict';
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const say = text => { const place = $('#said'); if (place) place.textContent = text; };

  // On narrow screens sections and tabs scroll sideways: bring the current one into sight.
  const bringIntoSight = () => {
    for (const here of $$('.sections [aria-current], .tabs [aria-current]')) {
      const row = here.parentElement, from = row.getBoundingClientRect(), at = here.getBoundingClientRect();
      row.scrollLeft += at.left - from.left - from.width / 2 + at.width / 2;
    }
  };
  bringIntoSight();
  addEventListener('resize', bringIntoSight);

  // Drawer: CSS :target opens it; here focus goes in, Escape closes, focus returns: to the link that was pressed, or, where
  // that brought a new page, to the one like it there, which #log-of-7 is for #log-7.
  let opener = null, shown = '';
  // What is not the target yet is hidden and takes no focus: it is asked again with the next frames.
  const enter = (hash, frames = 120) => {
    const head = $(`${hash} h2`);
    if (!head || location.hash !== hash) return;
    head.focus();
    if (document.activeElement !== head && frames) requestAnimationFrame(() => enter(hash, frames - 1));
  };
  addEventListener('click', event => { const link = event.target.closest('a[href^="#log-"]'); if (link) opener = link; });
  const atHash = () => {
    const drawer = location.hash.startsWith('#log-') && $(location.hash);
    if (drawer) { shown = location.hash; enter(shown); return; }
    const from = opener || (shown && $(shown.replace('#log-', '#log-of-')));
    if (from) from.focus({ preventScroll: true });
    opener = null; shown = '';
  };
  addEventListener('hashchange', atHash);
  // Until the page is there nothing is the target of its address: the drawer is hidden, and takes no focus.
  if (location.hash) addEventListener('load', () => atHash());
  addEventListener('keydown', event => {
    if (event.key === 'Escape' && location.hash.startsWith('#log-')) { const y = scrollY; location.hash = '#runs'; scrollTo(0, y); }
  });

  // Answers that wait in this browser are sent by the pages of their project (static/judging/kept.js).
  for (const line of $$('[data-unsent]')) {
    try { line.hidden = !Object.keys(localStorage).some(key => key.startsWith(`plumbline:${line.dataset.unsent}:queue:`)); } catch { /* blocked: nothing is kept */ }
  }

  // Copy: the button is shown only where the script runs.
  const offerCopies = root => {
    for (const button of $$('[data-copy]', root)) {
      const label = button.textContent;
      button.hidden = false;
      button.addEventListener('click', async () => {
        const text = button.dataset.copy.startsWith('#') ? $(button.dataset.copy).textContent : button.dataset.copy;
        try { await navigator.clipboard.writeText(text); button.textContent = 'Copied'; say('Copied.'); }
        catch { button.textContent = 'Copying is blocked here; select the text'; }
        setTimeout(() => { button.textContent = label; }, 2500);
      });
    }
  };

  // Times are sent in UTC and shown in the reader's zone.
  const localise = root => {
    for (const time of $$('time[data-local]', root)) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.valueOf())) {
        time.textContent = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: time.dataset.local === 'date' ? undefined : 'short' }).format(at);
      }
    }
  };
  // What comes with a page, and what htmx puts into it later.
  for (const arrange of [offerCopies, localise]) {
    arrange(document);
    document.addEventListener('htmx:load', event => { if (event.detail.elt !== document.body) arrange(event.detail.elt); });
  }

  // Uploads: a file may be dropped on the whole frame, and one that is too large is named before it is sent.
  for (const form of $$('form[data-max-bytes]')) {
    const field = $('input[type=file]', form), frame = $('.drop', form), fault = $('.err', form);
    const check = () => {
      const file = field.files[0], isTooLarge = file && file.size > Number(form.dataset.maxBytes);
      fault.textContent = isTooLarge ? `${file.name} is larger than this page takes. Use the command import_pairs on the server.` : '';
      field.setAttribute('aria-invalid', String(!!isTooLarge));
      return !isTooLarge;
    };
    field.addEventListener('change', check);
    form.addEventListener('submit', event => { if (!check()) { event.preventDefault(); field.focus(); } });
    frame.addEventListener('dragover', event => event.preventDefault());
    frame.addEventListener('drop', event => {
      event.preventDefault();
      if (event.dataTransfer.files.length) { field.files = event.dataTransfer.files; check(); }
    });
  }

  // A draft of a release: once something is changed, what was counted is old, and the button must not promise it.
  for (const form of $$('form[data-recount]')) {
    const told = ['version', 'licence', 'limits', 'names'];
    form.addEventListener('input', event => {
      if (told.includes(event.target.name)) return;
      const go = $('#go', form);
      go.value = 'count';
      go.textContent = 'Count again';
      for (const figure of $$('#rail [data-count], #rail .figure, .step > header p[id], #preview td.num')) figure.dataset.stale = '';
    });
  }

  // Forms: our own sentences instead of the browser's bubbles; a list on top, a sentence at each field.
  for (const form of $$('form[data-check]')) {
    form.noValidate = true;
    const top = $('.errors', form);
    const place = field => $('#' + field.getAttribute('aria-describedby').split(' ').find(id => id.endsWith('-err')));
    const fault = field => {
      const { valid, valueMissing } = field.validity;
      return valid ? '' : (valueMissing ? field.dataset.missing : field.dataset.wrong) || field.validationMessage;
    };
    const mark = field => {
      const text = fault(field);
      field.setAttribute('aria-invalid', String(!!text));
      place(field).textContent = text;
      return text;
    };
    const fields = $$('[aria-describedby*="-err"]', form);
    form.addEventListener('submit', event => {
      const wrong = fields.filter(mark);
      if (!wrong.length) return;
      event.preventDefault();
      if (top) {
        top.hidden = false;
        $('ul', top).replaceChildren(...wrong.map(field => {
          const item = document.createElement('li'), link = document.createElement('a');
          link.href = '#' + field.id;
          link.textContent = fault(field);
          item.append(link);
          return item;
        }));
      }
      wrong[0].focus();
    });
    for (const field of fields) {
      field.addEventListener('input', () => {
        if (field.getAttribute('aria-invalid') === 'true') { mark(field); if (top) top.hidden = !fields.some(fault); }
      });
    }
  }
})();
