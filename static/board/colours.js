/* Colours for the canvases, from the tokens: ramps in OKLab, so that equal steps look equal and read in grey too. */

export const C = { isDark: false };
export let ramp = null;

const gamma = v => 255 * (v <= .0031308 ? 12.92 * Math.max(0, v) : 1.055 * Math.min(1, v) ** (1 / 2.4) - .055);
const linear = v => (v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
function toRgb(L, a, b) {
  const l = (L + .3963377774 * a + .2158037573 * b) ** 3;
  const m = (L - .1055613458 * a - .0638541728 * b) ** 3;
  const s = (L - .0894841775 * a - 1.291485548 * b) ** 3;
  return [
    gamma(4.0767416621 * l - 3.3077115913 * m + .2309699292 * s),
    gamma(-1.2684380046 * l + 2.6097574011 * m - .3413193965 * s),
    gamma(-.0041960863 * l - .7034186147 * m + 1.707614701 * s),
  ];
}
function toLab(hex) {
  const [r, g, b] = /#(..)(..)(..)/.exec(hex).slice(1).map(h => linear(parseInt(h, 16) / 255));
  const l = Math.cbrt(.4122214708 * r + .5363325363 * g + .0514459929 * b);
  const m = Math.cbrt(.2119034982 * r + .6806995451 * g + .1073969566 * b);
  const s = Math.cbrt(.0883024619 * r + .2817188376 * g + .6299787005 * b);
  return [
    .2104542553 * l + .793617785 * m - .0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + .4505937099 * s,
    .0259040371 * l + .7827717662 * m - .808675766 * s,
  ];
}

const NAMES = ['surface', 'ink', 'line-strong', 'accent', 'b', 'pale', 'consensus', 'conflict', 'indifference'];
const SYSTEM = { surface: 'Canvas', ink: 'CanvasText', 'line-strong': 'CanvasText', accent: 'Highlight', b: 'LinkText', pale: 'GrayText' };
export function theme() {
  const root = getComputedStyle(document.documentElement), pen = document.createElement('canvas').getContext('2d');
  const isForced = matchMedia('(forced-colors: active)').matches;
  for (const name of NAMES) {
    pen.fillStyle = isForced && SYSTEM[name] ? SYSTEM[name] : root.getPropertyValue(`--${name}`).trim();
    C[name] = pen.fillStyle;                // a canvas gives every colour back as #rrggbb
  }
  C.surfaceLab = toLab(C.surface);
  C.isDark = C.surfaceLab[0] < .5;
  C.lab = [C.consensus, C.conflict, C.indifference].map(toLab);
  ramp = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const t = i / 255, L = C.isDark ? .30 + .65 * t : .945 - .70 * t;
    const chroma = C.isDark ? .045 + .075 * Math.sin(Math.PI * Math.min(1, t * .95)) : .02 + .085 * Math.sin(Math.PI * Math.min(1, t * .9 + .05));
    const hue = (C.isDark ? 245 - 75 * t : 185 + 70 * t) * Math.PI / 180;
    toRgb(L, chroma * Math.cos(hue), chroma * Math.sin(hue)).forEach((v, j) => { ramp[i * 3 + j] = v; });
  }
  mixTable();
}

/* 16 densities x 66 mixtures of the three categories: one look-up per cell while brushing. */
export let mix = null;
export const place = new Uint8Array(121);
{
  let k = 0;
  for (let a = 0; a <= 10; a++) for (let b = 0; a + b <= 10; b++) place[a * 11 + b] = k++;
  for (let a = 0; a <= 10; a++) for (let b = 11 - a; b <= 10; b++) place[a * 11 + b] = place[a * 11 + Math.max(0, 10 - a)];
}
function mixTable() {
  mix = new Uint8ClampedArray(16 * 66 * 3);
  for (let t = 0; t < 16; t++) for (let a = 0; a <= 10; a++) for (let b = 0; a + b <= 10; b++) {
    const share = .16 + .84 * t / 15, e = [a, b, 10 - a - b].map(q => q ** 2.4), sum = e[0] + e[1] + e[2];
    const lab = [0, 1, 2].map(j => (e[0] * C.lab[0][j] + e[1] * C.lab[1][j] + e[2] * C.lab[2][j]) / sum);
    const mixed = lab.map((v, j) => C.surfaceLab[j] + (v - C.surfaceLab[j]) * share);
    toRgb(...mixed).forEach((v, j) => { mix[(t * 66 + place[a * 11 + b]) * 3 + j] = v; });
  }
}
