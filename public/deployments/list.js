/** The list of deployments beside the log: each a link, with its state, and a way to forget it. */

import { element, replaceIfOther, setText } from "../site/dom.js";
import { clockTime } from "../site/format.js";
import { STATES } from "./log.js";

/** @import { Known } from "./remembered.js" */

/** @param {string} id */
export function address(id) {
  return `/deployments?deployment=${encodeURIComponent(id)}`;
}

/**
 * @param {HTMLElement} list
 * @param {Known[]} deployments
 * @param {string | null} shown the id of the one whose log is shown
 */
export function showList(list, deployments, shown) {
  replaceIfOther(
    list,
    deployments.map((one) => listItem(list, one, one.id === shown)),
  );
}

/**
 * @param {HTMLElement} list
 * @param {Known} deployment
 * @param {boolean} isShown
 */
function listItem(list, { id, name, state, at }, isShown) {
  const same = list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  const item = /** @type {HTMLElement} */ (same ?? made(id));
  const [link, button] = /** @type {[HTMLElement, HTMLElement]} */ ([...item.children]);
  const [title, detail] = /** @type {[HTMLElement, HTMLElement]} */ ([...link.children]);
  link.ariaCurrent = isShown ? "page" : null;
  setText(title, name);
  setText(detail, `${state ? STATES[state].word : "Not heard of yet"}, ${clockTime(at)}`);
  detail.dataset["tone"] = state ? STATES[state].tone : "";
  button.ariaLabel = `Forget ${name}, ${id}`;
  return item;
}

/** @param {string} id */
function made(id) {
  const item = document.createElement("li");
  item.dataset["id"] = id;
  const link = document.createElement("a");
  link.href = address(id);
  link.append(element("span", "name", ""), element("span", "detail", ""));
  const button = element("button", "forget", "Forget");
  button.title = "Take it off this list; the deployment stays";
  item.append(link, button);
  return item;
}
