/**
 * Finds a text in a log's rows, all of them and not only those in sight, and goes on finding as
 * rows come. It knows no page.
 */

import { plain } from "./ansi.js";

/** @import { LogLines, Row } from "./lines.js" */

/**
 * What matches `text`, whatever the case; null for nothing to look for.
 *
 * @param {string} text
 */
export function patternOf(text) {
  if (text === "") return null;
  return new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");
}

export class Search {
  /** What is looked for. @type {RegExp | null} */
  pattern = null;
  /** The serials of the rows in which it begins, ascending. @type {number[]} */
  found = [];
  #text = "";
  /** The serial up to which rows have been read and change no more. */
  #read = 0;

  /**
   * Look for another text.
   *
   * @param {string} text
   */
  begin(text) {
    this.#text = text;
    this.pattern = patternOf(text);
    this.found = [];
    this.#read = 0;
  }

  /**
   * Read what is new, or may have changed.
   *
   * @param {LogLines} lines
   * @param {(row: Row) => boolean} isWanted
   */
  update(lines, isWanted) {
    if (this.pattern === null) return;
    const { rows, dropped, end } = lines;
    const read = Math.max(this.#read, dropped);
    this.found = this.found.filter((serial) => serial >= dropped && serial < read);
    for (let serial = read; serial < end; serial += 1) {
      const row = rows[serial - dropped];
      if (row && isWanted(row) && this.#isIn(row, rows[serial + 1 - dropped])) {
        this.found.push(serial);
      }
    }
    // A line that goes on in the next row may bring the rest of a match with it.
    this.#read = Math.max(read, lines.settled - 1);
  }

  /**
   * @param {Row} row
   * @param {Row | undefined} next
   */
  #isIn(row, next) {
    let text = plain(row.text);
    if (next?.continued && next.number === row.number) {
      text += plain(next.text).slice(0, this.#text.length - 1);
    }
    return text.search(/** @type {RegExp} */ (this.pattern)) >= 0;
  }

  /**
   * The match after a row, or before it; round the end where there is no other.
   *
   * @param {number} serial
   * @param {1 | -1} direction
   * @returns {number | undefined}
   */
  beside(serial, direction) {
    const { found } = this;
    return direction > 0
      ? (found.find((one) => one > serial) ?? found[0])
      : (found.findLast((one) => one < serial) ?? found.at(-1));
  }
}
