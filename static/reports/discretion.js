// Enhances what the server has drawn: previews of cells, two views of supremacy, up to three lines of priorities.
import { $, $$, grid } from './grid.js';

const percent = share => Math.round(100 * share), x = share => `${(100 * share).toFixed(2)}%`;
const set = (element, attributes) => { for (const name in attributes) element.setAttribute(name, attributes[name]); };
const bold = text => { const b = document.createElement('b'); b.textContent = text; return b; };
const wilson = (hits, n, z = 1.959964) => {
  const p = hits / n, d = 1 + z * z / n, middle = (p + z * z / 2 / n) / d;
  const half = z * Math.sqrt(p * (1 - p) / n + z * z / 4 / n / n) / d;
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
};
const LEAST = 5, MOST_LINES = 3;

$$('.script').forEach(element => { element.hidden = false; });

function keep(changes) {
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) address.searchParams.set(name, value);
  history.replaceState(null, '', address);
}

const heat = $('#psgrid .heat');
if (heat) {
  const names = $$('thead th:not(.cn)', heat).map(head => head.textContent);
  const numbers = $$('tbody th', heat).map(head => +head.dataset.principle), toBoard = $('#to-board');
  const of = $('select[name=of]'), isPeople = of.value === 'people';
  const whose = of.selectedOptions[0].textContent;
  const follow = isPeople ? 'people follow' : `${whose} follows`;

  const show = (cell, i, j, isPinned) => {
    const hits = +cell.dataset.k, n = +cell.dataset.n, few = n < LEAST, share = n ? hits / n : .5;
    const [low, high] = n ? wilson(hits, n) : [0, 1];
    // The sentence names the winner, never the row.
    const [loser, winner, won, left, right] = share > .5
      ? [names[j], names[i], share, low, high] : [names[i], names[j], 1 - share, 1 - high, 1 - low];
    const times = n === 1 ? '1 time' : `${n.toLocaleString('en')} times`;
    const say = $('#cell-say');
    $('#cell-state').textContent = isPinned ? 'Pinned' : 'Preview';
    if (few) say.replaceChildren(bold(names[i]), ' and ', bold(names[j]), n ? ` conflict ${times}: not enough data.` : ' never conflict here: no value.');
    else if (percent(won) === 50) say.replaceChildren('When ', bold(loser), ' and ', bold(winner), ` conflict, ${follow} neither more often: `, bold('50 %'), ` of ${times} each.`);
    else say.replaceChildren('When ', bold(loser), ' and ', bold(winner), ` conflict, ${follow} `, bold(winner), ' in ', bold(`${percent(won)} %`), ` of ${n.toLocaleString('en')} choices.`);
    $('#tug-a').textContent = loser;
    $('#tug-b').textContent = winner;
    $('.tug').hidden = few;
    set($('#tug-iv'), { x1: x(left), x2: x(right) });
    set($('#tug-dot'), { cx: x(won) });
    toBoard.search = `?conflict=${[numbers[i], numbers[j]].sort((a, b) => a - b).join('-')}`;
    $('#cell-facts').textContent = few ? `Shown from ${LEAST} conflicts on.`
      : `95 % interval ${percent(left)}–${percent(right)} %${left <= .5 ? ', which includes 50 %: no clear priority.' : '.'}`;
  };
  grid(heat, { show, said: $('#cell-say'), live: $('#cell-live'), onPin: (i, j) => keep({ pin: `${i},${j}` }) });

  const segment = (name, act) => $$(`[data-${name}]`).forEach(button => button.addEventListener('click', () => {
    $$(`[data-${name}]`).forEach(one => one.setAttribute('aria-pressed', String(one === button)));
    act(button.dataset[name]);
  }));
  segment('show', view => { heat.classList.remove('ps', 'n', 'no'); heat.classList.add(view); });
  const pick = $('#ps-pick');
  const view = name => {
    $('#psgrid').hidden = name !== 'grid';
    $('#pslist').hidden = name === 'grid';
    $('.gridonly').hidden = name !== 'grid';
    pick.closest('label').hidden = name === 'grid';
  };
  segment('view', view);
  const asked = new URLSearchParams(location.search);
  const isNarrow = matchMedia('(max-width: 559px)').matches;
  if (asked.has('principle') || isNarrow) $('[data-view=list]').click(); else view('grid');
  const form = pick.form;
  [of, pick].forEach(select => select.addEventListener('change', () => {
    pick.disabled = select === of && !asked.has('principle');
    form.requestSubmit();
  }));
  $('button', form).hidden = true;
}

const least = $('form.min');
if (least) {
  $('button', least).hidden = true;
  least.addEventListener('change', () => least.requestSubmit());
}

// Priorities: at most three lines, told apart by dash and by a label at the end, never by hue.
const buttons = $$('.pl');
if (buttons.length) {
  const line = i => $(`.ln[data-i="${i}"]`);
  let on = buttons.filter(button => button.getAttribute('aria-pressed') === 'true').map(button => button.dataset.i);
  const draw = () => {
    buttons.forEach(button => button.setAttribute('aria-pressed', String(on.includes(button.dataset.i))));
    $$('.ln').forEach(one => one.classList.remove('on', 'l0', 'l1', 'l2'));
    on.forEach((i, place) => { const one = line(i); if (one) { one.classList.add('on', `l${place}`); one.parentNode.append(one); } });
  };
  buttons.forEach(button => {
    button.addEventListener('click', () => {
      const i = button.dataset.i;
      on = on.includes(i) ? on.filter(one => one !== i) : [...on, i].slice(-MOST_LINES);
      draw();
    });
    for (const [event, act] of [['pointerenter', 'add'], ['focus', 'add'], ['pointerleave', 'remove'], ['blur', 'remove']])
      button.addEventListener(event, () => line(button.dataset.i)?.classList[act]('hov'));
  });
  $('#pr-clear').addEventListener('click', () => { on = []; draw(); });
  draw();
}
