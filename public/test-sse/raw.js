/** Shows events as they come over the wire: when, with which gap and size, and what is in them. */

import { element, setText } from "../site/dom.js";
import { plural } from "../site/format.js";

/** @import { RawEvent } from "./wire.js" */

/** Rows that are kept in the document. */
const MOST = 400;
/** Of an event's data so much is shown. */
const MOST_DATA = 300;
/** So near to its end, a reader follows the log. */
const NEAR = 24;

export class RawLog {
  /** Hold what is shown, as events go on to be counted. */
  isHeld = false;
  #log;
  #count;
  #total = 0;
  /** @type {HTMLElement[]} */
  #waiting = [];
  #showing = 0;

  /**
   * @param {HTMLElement} log
   * @param {HTMLElement} count
   */
  constructor(log, count) {
    this.#log = log;
    this.#count = count;
  }

  /** @param {RawEvent} event */
  add(event) {
    this.#total += 1;
    if (!this.isHeld) this.#waiting.push(row(event));
    if (this.#waiting.length > MOST) this.#waiting.shift();
    this.#showing ||= requestAnimationFrame(() => this.#show());
  }

  clear() {
    this.#total = 0;
    this.#waiting = [];
    this.#log.replaceChildren();
    this.#show();
  }

  #show() {
    cancelAnimationFrame(this.#showing);
    this.#showing = 0;
    const log = this.#log;
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
    log.append(...this.#waiting);
    this.#waiting = [];
    while (log.childElementCount > MOST) log.firstElementChild?.remove();
    if (isAtEnd) log.scrollTop = log.scrollHeight;
    const shown = log.childElementCount;
    const most = shown < this.#total ? `, ${shown} of them here` : "";
    setText(this.#count, plural(this.#total, "event") + most);
  }
}

/** @param {RawEvent} event */
function row({ leg, at, gap, id, type, size, data }) {
  const made = element("div", "row", "");
  made.dataset["type"] = type;
  const time = new Date(performance.timeOrigin + at);
  const fraction = String(time.getMilliseconds()).padStart(3, "0");
  const clock = `${time.toTimeString().slice(0, 8)}.${fraction}`;
  made.append(
    element("span", "time", clock),
    " ",
    element("span", "leg", `#${leg}`),
    " ",
    element("span", "gap", gap === null ? "" : `+${ms(gap)}`),
    " ",
    element("span", "size", `${size} B`),
    " ",
    element("span", "type", type),
    " ",
    element("span", "id", id || "no id"),
    " ",
    element("span", "data", data.slice(0, MOST_DATA)),
  );
  return made;
}

/** @param {number} gap */
function ms(gap) {
  return gap < 10_000 ? `${gap.toFixed(gap < 10 ? 1 : 0)} ms` : `${(gap / 1000).toFixed(1)} s`;
}
