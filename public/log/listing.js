/**
 * The rows of a log that a view lists, all or the errors only, and where each of them stands.
 *
 * A row's height is estimated as it comes, from its length, and made true when it is shown: nobody
 * can lay out a hundred thousand rows to know where the last one is.
 */

import { plain } from "./ansi.js";
import { Heights } from "./heights.js";
import { isError } from "./lines.js";

/** @import { LogLines, Row } from "./lines.js" */

export class Listing {
  heights = new Heights();
  /** What is listed, in order. @type {Row[]} */
  rows = [];
  #lines;
  #errorsOnly;
  #rowHeight;
  #columns;
  /** The serial of the row that is taken in next. */
  #next = 0;

  /**
   * @param {LogLines} lines
   * @param {boolean} errorsOnly
   * @param {number} rowHeight of a row with one line of text, in px
   * @param {number} columns characters that fit beside each other; Infinity: rows are not wrapped
   */
  constructor(lines, errorsOnly, rowHeight, columns) {
    this.#lines = lines;
    this.#errorsOnly = errorsOnly;
    this.#rowHeight = rowHeight;
    this.#columns = columns;
  }

  /** Take in what has come, and forget what the log has forgotten. */
  update() {
    const { rows, dropped, end } = this.#lines;
    const gone = this.indexOf(dropped);
    if (gone) {
      this.rows.splice(0, gone);
      this.heights.shift(gone);
    }
    for (let serial = Math.max(this.#next, dropped); serial < end; serial += 1) {
      const row = rows[serial - dropped];
      if (!row || (this.#errorsOnly && !isError(row))) continue;
      this.rows.push(row);
      this.heights.push(this.#estimate(row));
    }
    this.#next = end;
  }

  /** The index of the first row with this serial or a later one. @param {number} serial */
  indexOf(serial) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.rows[middle]?.serial ?? Infinity) < serial) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** @param {Row} row */
  #estimate({ text }) {
    if (this.#columns === Infinity || text.length <= this.#columns) return this.#rowHeight;
    const length = text.includes("\x1b") ? plain(text).length : text.length;
    return Math.max(1, Math.ceil(length / this.#columns)) * this.#rowHeight;
  }
}
