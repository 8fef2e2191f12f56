/** A log's row as an element: its number, its time, its mark, and its text. */

import { show } from "./ansi.js";
import { timeLabel } from "./times.js";

/** @import { Row } from "./lines.js" */
/** @import { Times } from "./times.js" */

/** What stands before a line, so that it is not told by its colour alone. */
const MARKS = { stderr: "err", error: "err", warning: "warn" };

/**
 * @param {Row} row
 * @param {Times} times
 * @param {number | null} began when the log did, in Unix ms
 */
export function rowElement(row, times, began) {
  const element = document.createElement("div");
  element.className = `row ${row.kind}`;
  element.append(numberElement(row));
  // Numbers and times are drawn by the style sheet: they can be neither selected nor copied.
  if (times !== "off") {
    const time = part("time", "");
    if (!row.continued) time.dataset["time"] = timeLabel(times, row.time, began);
    element.append(time);
  }
  const mark = /** @type {Record<string, string>} */ (MARKS)[row.kind];
  if (mark) element.append(part("mark", row.continued ? "" : mark));
  const text = part("text", "");
  show(text, row.state + row.text);
  element.append(text);
  return element;
}

/**
 * @param {HTMLElement} element as rowElement made it
 * @param {Row} row that has changed since
 */
export function showText(element, row) {
  show(/** @type {HTMLElement} */ (element.lastChild), row.state + row.text);
}

/**
 * No link, which it acts like: a list of fifty links called "1", "2", … helps nobody who hears the
 * page or goes by the keyboard. The search field takes the number of a line from them.
 *
 * @param {Row} row
 */
function numberElement({ number, continued }) {
  const made = part("number", "");
  if (number !== null && !continued) made.dataset["number"] = String(number);
  return made;
}

/**
 * @param {string} className
 * @param {string} text
 */
function part(className, text) {
  const made = document.createElement("span");
  made.className = className;
  if (text) made.textContent = text;
  return made;
}
