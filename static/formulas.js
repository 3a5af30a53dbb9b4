/* Sets the formulas of a page that shows texts; KaTeX is loaded only where there are some. */
import { mathIn } from './judging/math.js';

mathIn(document.body);
