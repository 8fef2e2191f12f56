/** Links in what people write. */

/**
 * A piece of a text; `href` where it is an address.
 *
 * @typedef {{ text: string, href: string | null }} Piece
 */

const ADDRESS = /https?:\/\/[^\s<>"\u0000-\u001f\u202a-\u202e\u2066-\u2069]+/giu;
/** What ends a sentence rather than an address. */
const TRAILING = /[.,;:!?'’”»…*_~]+$/u;
const BRACKETS = /** @type {const} */ ([
  ["(", ")"],
  ["[", "]"],
  ["{", "}"],
]);

/**
 * The pieces that `text` is made of; joined they are the text. Only http and https are addresses,
 * and only those without a user's name before the host, which would pass for the host.
 *
 * @param {string} text
 * @returns {Piece[]}
 */
export function pieces(text) {
  /** @type {Piece[]} */
  const found = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    const address = trimmed(match);
    const href = safe(address);
    if (href === null) continue;
    if (index > end) found.push({ text: text.slice(end, index), href: null });
    found.push({ text: address, href });
    end = index + address.length;
  }
  if (end < text.length) found.push({ text: text.slice(end), href: null });
  return found;
}

/** Without what belongs to the sentence around it. @param {string} address */
function trimmed(address) {
  for (let before = ""; before !== address; ) {
    before = address;
    address = address.replace(TRAILING, "");
    for (const [open, close] of BRACKETS) {
      const isWhole = address.split(open).length >= address.split(close).length;
      if (address.endsWith(close) && !isWhole) address = address.slice(0, -1);
    }
  }
  return address;
}

/**
 * The address to go to; null for none, or one that is not as it looks.
 *
 * @param {string} address
 */
export function safe(address) {
  if (!URL.canParse(address)) return null;
  const { protocol, username, password, href } = new URL(address);
  return /^https?:$/.test(protocol) && !username && !password ? href : null;
}
