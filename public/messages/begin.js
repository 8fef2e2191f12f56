/** The dialog by which a client begins a conversation with a professional. */

import { request } from "../site/api.js";
import { byId, setText } from "../site/dom.js";
import { clean } from "./clean.js";
import { words } from "./errand.js";
import { newClientId } from "./requests.js";

/**
 * @typedef {(to: string, text: string, clientId: string) => Promise<void>} Begin rejects where that
 *   fails
 */

/** @type {HTMLDialogElement} */
const dialog = byId("begin");
/** @type {HTMLInputElement} */
const to = byId("to");
/** @type {HTMLTextAreaElement} */
const first = byId("first");
/** @type {HTMLButtonElement} */
const send = byId("begin-send");
/** What was tried last: the same again is the same message, and never a second one. */
let tried = { to: "", text: "", clientId: "" };

/** @param {Begin} begin */
export function offerBegin(begin) {
  byId("begin-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(begin);
  });
  byId("begin-cancel").addEventListener("click", () => dialog.close());
}

export function showBegin() {
  setText(byId("begin-problem"), "");
  dialog.showModal();
  void suggest();
}

/** @param {Begin} begin */
async function attempt(begin) {
  const [name, text] = [to.value.trim(), clean(first.value)];
  if (!name || !text || send.disabled) return;
  if (tried.to !== name || tried.text !== text) {
    tried = { to: name, text, clientId: newClientId() };
  }
  send.disabled = true;
  setText(byId("begin-problem"), "");
  try {
    await begin(name, text, tried.clientId);
    tried = { to: "", text: "", clientId: "" };
    to.value = first.value = "";
    dialog.close();
  } catch (error) {
    setText(byId("begin-problem"), words(error));
  }
  send.disabled = false;
}

/** A server for development knows of professionals to try it with; others do not say. */
async function suggest() {
  const list = byId("professionals");
  if (list.childElementCount) return;
  try {
    const { identities } = await request("GET", "/api/login");
    for (const { sub, name, role } of identities) {
      if (role !== "professional") continue;
      const option = document.createElement("option");
      option.value = sub;
      option.label = name;
      list.append(option);
    }
  } catch {
    // Then their id is typed.
  }
}
