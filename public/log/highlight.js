/** Marks what was searched for, by the browser's own highlights: no element is touched. */

const FOUND = "log-found";
const CURRENT = "log-current";

/**
 * Mark each match in these texts, and in no other.
 *
 * @param {RegExp | null} pattern
 * @param {Iterable<{ text: Element, isCurrent: boolean }>} rows
 */
export function highlight(pattern, rows) {
  // Where a browser has none, the row's own mark has to do.
  if (!("highlights" in CSS)) return;
  /** @type {Range[]} */
  const found = [];
  /** @type {Range[]} */
  const current = [];
  if (pattern) {
    for (const { text, isCurrent } of rows) {
      (isCurrent ? current : found).push(...ranges(text, pattern));
    }
  }
  CSS.highlights.set(FOUND, new Highlight(...found));
  CSS.highlights.set(CURRENT, new Highlight(...current));
}

/**
 * @param {Element} element
 * @param {RegExp} pattern
 */
function* ranges(element, pattern) {
  for (const match of (element.textContent ?? "").matchAll(pattern)) {
    const range = document.createRange();
    range.setStart(...boundary(element, match.index));
    range.setEnd(...boundary(element, match.index + match[0].length));
    yield range;
  }
}

/**
 * The text node, and the place in it, that so many characters end at.
 *
 * @param {Element} element
 * @param {number} offset
 * @returns {[Node, number]}
 */
function boundary(element, offset) {
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let rest = offset;
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const length = node.nodeValue?.length ?? 0;
    if (rest <= length) return [node, rest];
    rest -= length;
  }
  return [element, element.childNodes.length];
}
