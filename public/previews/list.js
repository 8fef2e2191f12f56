/** The list of previews beside the log: each a link, with its state and when it began. */

import { element, replaceIfOther } from "../site/dom.js";
import { clockTime } from "../site/format.js";
import { exitWords } from "./log.js";

/**
 * A preview as the server tells it.
 *
 * @typedef {object} Preview
 * @property {string} id
 * @property {string} name
 * @property {"starting" | "running" | "stopping" | "exited" | "failed" | "lost"} state
 * @property {string} started_at
 * @property {number | null} code
 * @property {string | null} signal
 */

const RUNNING = ["starting", "running", "stopping"];

/** @param {Preview} preview */
export function isRunning({ state }) {
  return RUNNING.includes(state);
}

/** @param {Preview} preview */
export function outcomeOf({ state, code, signal }) {
  return state === "exited" ? exitWords({ code, signal }) : state;
}

/** How good that is, for a badge. @param {Preview} preview */
export function toneOf({ state, code }) {
  if (state === "failed" || state === "lost" || code) return "bad";
  return isRunning(/** @type {Preview} */ ({ state })) ? "good" : "";
}

/** @param {string} id */
export function address(id) {
  return `/previews?preview=${encodeURIComponent(id)}`;
}

/**
 * @param {HTMLElement} list
 * @param {Preview[]} previews
 * @param {string | null} shown the id of the one whose log is shown
 */
export function showList(list, previews, shown) {
  replaceIfOther(
    list,
    previews.map((preview) => listItem(list, preview, preview.id === shown)),
  );
}

/**
 * @param {HTMLElement} list
 * @param {Preview} preview
 * @param {boolean} isShown
 */
function listItem(list, preview, isShown) {
  const item =
    list.querySelector(`[data-id="${CSS.escape(preview.id)}"]`) ?? document.createElement("li");
  const detail = `${outcomeOf(preview)}, ${clockTime(Date.parse(preview.started_at))}`;
  const now = `${detail} ${isShown}`;
  if (!(item instanceof HTMLElement) || item.dataset["now"] === now) return item;
  item.dataset["id"] = preview.id;
  item.dataset["now"] = now;
  item.dataset["tone"] = toneOf(preview);
  const link = document.createElement("a");
  link.href = address(preview.id);
  if (isShown) link.ariaCurrent = "page";
  link.append(element("span", "name", preview.name), element("span", "detail", detail));
  // The link that has the focus is about to be replaced by its like.
  const focused = item.contains(document.activeElement);
  item.replaceChildren(link);
  if (focused) link.focus();
  return item;
}
