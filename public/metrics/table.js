/** Tables of numbers. */

import { element } from "../site/dom.js";

/**
 * Show rows in a table, whose first column says what each is of.
 *
 * @param {HTMLTableElement} table
 * @param {string} caption
 * @param {string[]} head
 * @param {string[][]} rows
 */
export function fill(table, caption, head, rows) {
  const first = document.createElement("thead");
  first.append(row(head, "col", head.length));
  const body = document.createElement("tbody");
  body.append(...rows.map((cells) => row(cells, "row", 1)));
  table.replaceChildren(element("caption", "visually-hidden", caption), first, body);
}

/**
 * @param {string[]} cells
 * @param {"col" | "row"} scope of those that are headings
 * @param {number} headings how many are
 */
function row(cells, scope, headings) {
  const made = document.createElement("tr");
  cells.forEach((text, place) => {
    const cell = document.createElement(place < headings ? "th" : "td");
    if (cell.tagName === "TH") cell.scope = scope;
    cell.textContent = text;
    made.append(cell);
  });
  return made;
}
