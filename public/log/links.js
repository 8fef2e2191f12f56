/** Links to lines: `#L120`, `#L120-L130`. */

/** Lines from one to another, both included. @typedef {{ from: number, to: number }} Range */

/**
 * @param {string} hash
 * @returns {Range | null} null if it names no lines
 */
export function linesOf(hash) {
  const [, first, last] = /^#L(\d{1,9})(?:-L?(\d{1,9}))?$/.exec(hash) ?? [];
  return first === undefined ? null : ordered(Number(first), Number(last ?? first));
}

/** What is typed to get to lines: `:120`, `:120-130`. @param {string} text */
export function linesTyped(text) {
  return text.startsWith(":") ? linesOf(`#L${text.slice(1).trim()}`) : null;
}

/** @param {Range} range */
export function hashOf({ from, to }) {
  return from === to ? `#L${from}` : `#L${from}-L${to}`;
}

/**
 * @param {number} one
 * @param {number} other
 * @returns {Range}
 */
export function ordered(one, other) {
  return { from: Math.min(one, other), to: Math.max(one, other) };
}
