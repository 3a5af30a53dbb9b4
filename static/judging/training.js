/* Trying an explained example: what was expected, and why, is told at once. Nothing of it is stored. */
import { $, $$ } from './kit.js';

for (const one of $$('[data-example]')) {
  const tries = $$('[data-try]', one), said = $('[data-tried]', one);
  tries.forEach(b => b.addEventListener('click', () => {
    tries.forEach(other => other.setAttribute('aria-pressed', other === b));
    said.textContent = b.dataset.try === one.dataset.example ? said.dataset.right : said.dataset.otherwise;
    $('[data-answer]', one).open = true;
  }));
}
