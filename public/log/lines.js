/**
 * A log's lines, made of pieces as they come. It knows no page.
 *
 * A piece that is `open` is continued by the next one of its channel. A lone carriage return takes
 * a line back to its beginning: what follows it replaces what stood there. Colours last beyond the
 * line that sets them, for each channel.
 */

import { stateAfter } from "./ansi.js";

/**
 * A row as it is shown. `number` is null where a line goes on, and for notes; `state` sets the
 * colours that the row begins with; `version` grows when the row changes.
 *
 * @typedef {object} Row
 * @property {number | null} number
 * @property {"stdout" | "stderr" | "note" | "gap" | "failure"} kind
 * @property {string} state
 * @property {string} text
 * @property {number} version
 */

/** What a page keeps; older rows are forgotten, a block at a time. */
const MOST_ROWS = 100_000;
const BLOCK = 5000;
/** A line that is longer goes on in another row, so that no row is dear to show. */
const LONGEST_ROW = 4096;

export class LogLines {
  /** @type {Row[]} */
  rows = [];
  /** Lines so far, also those that are no longer kept. */
  count = 0;
  /** Rows that are no longer kept. */
  dropped = 0;
  /** @type {Map<string, Row>} the row that the next piece of a channel continues */
  #open = new Map();
  /** @type {Map<string, string>} the colours in force */
  #states = new Map();

  /**
   * @param {"stdout" | "stderr"} channel
   * @param {string} text
   * @param {boolean} open
   */
  add(channel, text, open) {
    let row = this.#open.get(channel) ?? this.#push(channel, this.#begin(channel));
    let rest = text;
    do {
      const end = fitting(rest, LONGEST_ROW - row.text.length);
      this.#write(row, rest.slice(0, end));
      rest = rest.slice(end);
      if (rest && row.text.length >= LONGEST_ROW - 1) {
        this.#finish(channel, row);
        row = this.#push(channel, null);
      }
    } while (rest);
    if (open) this.#open.set(channel, row);
    else this.#finish(channel, row);
  }

  /**
   * A word of the page's own between the lines.
   *
   * @param {"note" | "gap" | "failure"} kind
   * @param {string} text
   */
  note(kind, text) {
    this.#push(kind, null).text = text;
  }

  /** @param {string} channel */
  #begin(channel) {
    this.#open.delete(channel);
    this.count += 1;
    return this.count;
  }

  /**
   * @param {Row["kind"]} kind
   * @param {number | null} number
   */
  #push(kind, number) {
    const row = { number, kind, state: this.#states.get(kind) ?? "", text: "", version: 0 };
    this.rows.push(row);
    if (this.rows.length >= MOST_ROWS + BLOCK) {
      this.rows.splice(0, BLOCK);
      this.dropped += BLOCK;
    }
    return row;
  }

  /**
   * @param {Row} row
   * @param {string} piece
   */
  #write(row, piece) {
    const text = row.text + piece;
    // A return at the very end has replaced nothing yet: a progress line stays until the next.
    const last = text.replace(/\r+$/, "").lastIndexOf("\r");
    row.state = stateAfter(row.state, text.slice(0, last + 1));
    row.text = text.slice(last + 1);
    row.version += 1;
  }

  /**
   * @param {string} channel
   * @param {Row} row
   */
  #finish(channel, row) {
    this.#open.delete(channel);
    this.#states.set(channel, stateAfter(row.state, row.text));
  }
}

/**
 * How much of `text` fits into `room`, without cutting a character in two.
 *
 * @param {string} text
 * @param {number} room
 */
function fitting(text, room) {
  const cuts = /[\ud800-\udbff]/.test(text.charAt(room - 1)) && room < text.length;
  return cuts ? room - 1 : room;
}
