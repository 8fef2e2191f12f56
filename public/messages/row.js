/** A row of a conversation as an element. What is said is text, and stays text. */

import { element, setText } from "../site/dom.js";
import { icon } from "./icon.js";
import { pieces, safe } from "./links.js";
import { minute } from "./rows.js";

/** @import { Row, Said } from "./rows.js" */

const WORDS = {
  sending: "Sending",
  waiting: "Waiting",
  failed: "Not sent",
  sent: "Sent",
  delivered: "Delivered",
  read: "Read",
};
const DELETED = "This message was deleted.";

/** @param {Row} row */
export function make(row) {
  const made = document.createElement("li");
  made.dataset["key"] = row.key;
  if (row.kind === "said") {
    made.className = row.isOwn ? "said own" : "said";
    made.tabIndex = -1;
  } else {
    made.className = row.kind;
    made.append(element("span", "", ""));
  }
  return made;
}

/**
 * Show a row in its element; what is the same is left as it is.
 *
 * @param {HTMLElement} made
 * @param {Row} row
 * @param {string} sender
 */
export function show(made, row, sender) {
  const shown = JSON.stringify([row, sender]);
  if (made.dataset["shown"] === shown) return;
  made.dataset["shown"] = shown;
  if (row.kind !== "said") {
    setText(/** @type {HTMLElement} */ (made.firstElementChild), row.text);
    return;
  }
  made.classList.toggle("goes-on", row.goesOn);
  made.dataset["state"] = row.state;
  const said = JSON.stringify([row.text, row.attachments, row.isDeleted, sender]);
  if (made.dataset["said"] !== said || !made.firstElementChild) {
    made.dataset["said"] = said;
    made.replaceChildren(bubble(row, sender), document.createElement("p"));
  }
  const meta = /** @type {HTMLElement} */ (made.querySelector(":scope > .bubble + p"));
  showMeta(meta, row);
  showFailure(made, row);
}

/**
 * @param {Said} row
 * @param {string} sender
 */
function bubble(row, sender) {
  const made = element("div", row.isDeleted ? "bubble deleted" : "bubble", "");
  made.append(element("span", "visually-hidden", `${sender}: `));
  const text = element("p", "text", "");
  text.dir = "auto";
  if (row.isDeleted) text.textContent = DELETED;
  else text.append(...pieces(row.text).map(({ text, href }) => (href ? link(href, text) : text)));
  if (row.text || row.isDeleted) made.append(text);
  for (const address of row.attachments) {
    const href = safe(address);
    const item = element("p", "attachment", "");
    item.append("Attached: ", href ? link(href, address) : address);
    made.append(item);
  }
  return made;
}

/**
 * @param {string} href
 * @param {string} text
 */
function link(href, text) {
  const made = document.createElement("a");
  made.href = href;
  made.rel = "noopener noreferrer nofollow";
  made.target = "_blank";
  made.textContent = text;
  return made;
}

/**
 * @param {HTMLElement} meta
 * @param {Said} row
 */
function showMeta(meta, { at, isEdited, state }) {
  meta.className = "meta";
  const time = document.createElement("time");
  time.dateTime = new Date(at).toISOString();
  time.textContent = minute(at);
  /** @type {HTMLElement[]} */
  const parts = [time];
  if (isEdited) parts.push(element("span", "edited", "edited"));
  if (state) {
    const word = element("span", "state", "");
    word.append(icon(state), WORDS[state]);
    parts.push(word);
  }
  meta.replaceChildren(...parts);
}

/**
 * @param {HTMLElement} made
 * @param {Said} row
 */
function showFailure(made, { state, reason, isSure }) {
  made.querySelector(".failure")?.remove();
  if (state !== "failed") return;
  const failure = element("p", "failure", "");
  const actions = [action("retry", "Try again"), action("discard", "Discard")];
  // With other words it would be another message: not as long as the first may have come.
  if (isSure) actions.unshift(action("revise", "Edit"));
  failure.append(element("span", "", reason), ...actions);
  made.append(failure);
}

/**
 * @param {string} name
 * @param {string} text
 */
function action(name, text) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset["action"] = name;
  button.textContent = text;
  return button;
}
