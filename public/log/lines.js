/**
 * A log's lines, made of pieces as they come. It knows no page.
 *
 * A piece that is `open` is continued by the next one of its channel. A lone carriage return takes
 * a line back to its beginning: what follows it replaces what stood there. Colours last beyond the
 * line that sets them, for each channel.
 */

import { stateAfter } from "./ansi.js";

/** What a line is; a channel of a process, or a level. */
/** @typedef {"stdout" | "stderr" | "command" | "warning" | "error"} Channel */
/** What a row is: a piece of a line, or a word of the page's own. */
/** @typedef {Channel | "note" | "gap" | "failure"} Kind */

/**
 * A row as it is shown. `serial` is its place among all rows that there were, from 0. `number` is
 * that of its line, null for notes; `continued` where the line began in an earlier row. `time` in
 * Unix ms is that of the line's beginning. `state` sets the colours that the row begins with;
 * `version` grows when the row changes.
 *
 * @typedef {object} Row
 * @property {number} serial
 * @property {number | null} number
 * @property {boolean} continued
 * @property {Kind} kind
 * @property {number | null} time
 * @property {string} state
 * @property {string} text
 * @property {number} version
 */

/** What a page keeps; older rows are forgotten, a block at a time. */
const MOST_ROWS = 100_000;
const MOST_CHARACTERS = 32 * 1024 * 1024;
const BLOCK = 5000;
/** A line that is longer goes on in another row, so that no row is dear to show. */
const LONGEST_ROW = 4096;

/** @type {Kind[]} */
const ERRORS = ["stderr", "error", "failure"];

/** Whether a row is among the errors. @param {Row} row */
export function isError({ kind }) {
  return ERRORS.includes(kind);
}

export class LogLines {
  /** @type {Row[]} */
  rows = [];
  /** Lines so far, also those that are no longer kept. */
  count = 0;
  /** How many of them, and of the failures, are errors. */
  errors = 0;
  /** Rows that are no longer kept. */
  dropped = 0;
  /** The first time that was told, in Unix ms. @type {number | null} */
  began = null;
  #mostRows;
  #mostCharacters;
  #characters = 0;
  /** @type {Map<Channel, Row>} the row that the next piece of a channel continues */
  #open = new Map();
  /** @type {Map<Kind, string>} the colours in force */
  #states = new Map();

  /**
   * @param {number} [mostRows]
   * @param {number} [mostCharacters]
   */
  constructor(mostRows = MOST_ROWS, mostCharacters = MOST_CHARACTERS) {
    this.#mostRows = mostRows;
    this.#mostCharacters = mostCharacters;
  }

  /** The serial of the row that comes next. */
  get end() {
    return this.dropped + this.rows.length;
  }

  /** The serial before which no row changes any more. */
  get settled() {
    const open = [...this.#open.values()].map(({ serial }) => serial);
    return Math.max(this.dropped, Math.min(this.end, ...open));
  }

  /**
   * @param {Channel} channel
   * @param {string} text
   * @param {boolean} open
   * @param {number | null} [time] in Unix ms
   */
  add(channel, text, open, time = null) {
    let row = this.#open.get(channel) ?? this.#begin(channel, time);
    let rest = text;
    do {
      const end = fitting(rest, LONGEST_ROW - row.text.length);
      this.#write(row, rest.slice(0, end));
      rest = rest.slice(end);
      if (rest && row.text.length >= LONGEST_ROW - 1) {
        this.#finish(channel, row);
        row = this.#push(channel, row.number, row.time, true);
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
   * @param {number | null} [time] in Unix ms
   */
  note(kind, text, time = null) {
    const row = this.#push(kind, null, time, false);
    row.text = text;
    if (isError(row)) this.errors += 1;
  }

  /** The first row of a line, while it is kept. @param {number} number */
  row(number) {
    return this.rows.find((row) => row.number === number);
  }

  /**
   * @param {Channel} channel
   * @param {number | null} time
   */
  #begin(channel, time) {
    this.#open.delete(channel);
    this.count += 1;
    const row = this.#push(channel, this.count, time, false);
    if (isError(row)) this.errors += 1;
    return row;
  }

  /**
   * @param {Kind} kind
   * @param {number | null} number
   * @param {number | null} time
   * @param {boolean} continued
   */
  #push(kind, number, time, continued) {
    this.began ??= time;
    const state = this.#states.get(kind) ?? "";
    const row = { serial: this.end, number, continued, kind, time, state, text: "", version: 0 };
    this.rows.push(row);
    if (this.rows.length >= this.#mostRows + BLOCK) this.#forget(BLOCK);
    else if (this.#characters > this.#mostCharacters) {
      this.#forget(Math.min(BLOCK, Math.ceil(this.rows.length / 2)));
    }
    return row;
  }

  /** @param {number} count */
  #forget(count) {
    for (const { text } of this.rows.splice(0, count)) this.#characters -= text.length;
    this.dropped += count;
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
    if (row.serial >= this.dropped) this.#characters += text.length - last - 1 - row.text.length;
    row.text = text.slice(last + 1);
    row.version += 1;
  }

  /**
   * @param {Channel} channel
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
