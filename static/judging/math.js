/* Mathematics, loaded only where there is some. */
import { $, $$, cfg, el, nonce } from './kit.js';

let loading;
/* What stood in a formula before it was set: places in the raw text are counted in this. */
const sources = new WeakMap();
export const texOf = node => sources.get(node);
export const hasMath = item => [item.prompt, item.a, item.b].some(html => html.includes('class="math '));
export function katex() {
  if (window.katex) return Promise.resolve();
  loading ||= new Promise((done, failed) => {
    if (!$(`link[href="${cfg.katexCss}"]`)) document.head.append(el('link', { rel: 'stylesheet', href: cfg.katexCss }));
    const s = el('script', { src: cfg.katex, onload: done, onerror: failed }); s.nonce = nonce; document.head.append(s);
  });
  return loading;
}
export function setMath(root) {
  for (const node of $$('.math:not([data-set])', root)) {
    const out = el('span'), tex = node.textContent;
    /* What KaTeX cannot read stays as it was written. */
    try { window.katex.render(tex, out, { displayMode: node.classList.contains('block'), throwOnError: true, strict: 'ignore', trust: false, maxExpand: 200, maxSize: 20 }); } catch { continue; }
    sources.set(node, tex); node.replaceChildren(...out.childNodes); node.dataset.set = '';
  }
}
export async function mathIn(root) { if (!$('.math', root)) return; try { await katex(); setMath(root); } catch { /* the TeX stays readable */ } }
