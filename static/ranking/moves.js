/* An order of letters: groups, best first, those of a group tied; and the rest, which is not ranked. Each move makes a
   new order and leaves the old one as it was. */
const without = (order, letter) => ({ groups: order.groups.map(g => g.filter(l => l !== letter)).filter(g => g.length), rest: order.rest.filter(l => l !== letter) });
const sorted = (order, letters) => ({ ...order, rest: [...order.rest].sort((x, y) => letters.indexOf(x) - letters.indexOf(y)) });

/* From written places: equal numbers are a tie, what has none is not ranked. */
export function fromPlaces(letters, places) {
  const found = new Map(); const rest = [];
  for (const l of letters) { const n = Number.parseInt(places[l], 10); if (n > 0) found.set(n, [...(found.get(n) || []), l]); else rest.push(l); }
  return sorted({ groups: [...found.keys()].sort((x, y) => x - y).map(n => found.get(n)), rest }, [...letters].sort());
}
export function toPlaces(order, letters) { return Object.fromEntries(letters.map(l => [l, order.groups.findIndex(g => g.includes(l)) + 1 || ''])); }

/* As a group of its own at the place `at`, counted among the others. */
export function put(order, letter, at) { const left = without(order, letter), groups = [...left.groups]; groups.splice(Math.min(at, groups.length), 0, [letter]); return { groups, rest: left.rest }; }
export const leave = (order, letter) => { const left = without(order, letter); return { groups: left.groups, rest: [...left.rest, letter].sort() }; };
/* Above another letter, parting what is tied there; above none: at the end. */
export function above(order, letter, other) {
  const left = without(order, letter), groups = []; let done = false;
  for (const g of left.groups) { const i = other ? g.indexOf(other) : -1; if (i < 0) { groups.push(g); continue; } if (i) groups.push(g.slice(0, i)); groups.push([letter], g.slice(i)); done = true; }
  if (!done) groups.push([letter]); return { groups, rest: left.rest };
}
/* One step: out of a tie first, then past the neighbours, then out of the ranking. */
export function step(order, letter, by) {
  const at = order.groups.findIndex(g => g.includes(letter));
  if (at < 0) return by < 0 ? put(order, letter, order.groups.length) : order;
  if (order.groups[at].length > 1) return put(order, letter, by < 0 ? at : at + 1);
  if (at + by < 0) return order;
  return at + by >= order.groups.length ? leave(order, letter) : put(order, letter, at + by);
}
/* Ties with the one above; who is tied with it already parts, with those below in the tie. */
export function tie(order, letter) {
  const at = order.groups.findIndex(g => g.includes(letter)); if (at < 0) return order;
  const group = order.groups[at], i = group.indexOf(letter), groups = [...order.groups];
  if (i > 0) groups.splice(at, 1, group.slice(0, i), group.slice(i)); else if (at > 0) groups.splice(at - 1, 2, [...groups[at - 1], ...group]); else return order;
  return { groups, rest: order.rest };
}
