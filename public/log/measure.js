/** How much room a pane has for rows, found out by laying one out in it. */

import { rowElement } from "./row.js";

/** @import { Times } from "./times.js" */

const PROBE = "0".repeat(100);
/** Of a pane that is not displayed, in px; it is measured again when it is. */
const ANY_HEIGHT = 20;

/**
 * The height of a row with one line of text, in px, and how many characters fit beside each other.
 *
 * @param {HTMLElement} pane
 * @param {HTMLElement} parent within the pane, of its rows
 * @param {Times} times
 */
export function measure(pane, parent, times) {
  const kind = /** @type {const} */ ("stdout");
  const row = { serial: 0, number: 1, continued: false, kind, time: 0, state: "", version: 0 };
  const probe = rowElement({ ...row, text: PROBE }, times, 0);
  probe.classList.add("probe");
  parent.append(probe);
  const text = /** @type {HTMLElement} */ (probe.lastChild);
  const { height, width } = text.getBoundingClientRect();
  const end = Number.parseFloat(getComputedStyle(probe).paddingInlineEnd) || 0;
  const room = pane.clientWidth - text.offsetLeft - end;
  probe.remove();
  const columns = width ? Math.max(1, Math.floor((room / width) * PROBE.length)) : Infinity;
  return { rowHeight: height || ANY_HEIGHT, columns };
}
