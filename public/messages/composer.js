/** Where messages are written: Enter sends, Shift+Enter begins a line, Escape ends editing. */

import { byId, setText } from "../site/dom.js";
import { clean } from "./clean.js";

/**
 * @typedef {object} Hearer
 * @property {(text: string) => boolean} onSend false: it cannot be taken now
 * @property {(id: string, text: string) => Promise<void>} onEdit rejects where that fails
 * @property {(text: string) => void} onDraft
 * @property {() => void} onTyping
 * @property {(error: unknown) => void} onProblem
 */

/** Keys that are part of an input method's work are said to have this code (UI Events, §7.3.1). */
const IN_COMPOSITION = 229;

export class Composer {
  /** @type {HTMLTextAreaElement} */
  #field = byId("field");
  #form = byId("composer");
  #editing = byId("editing");
  /** @type {HTMLButtonElement} */
  #send = byId("send");
  #hearer;
  /** The message that is edited, and the draft that comes back then. */
  #edited = /** @type {{ id: string, text: string, draft: string } | null} */ (null);

  /** @param {Hearer} hearer */
  constructor(hearer) {
    this.#hearer = hearer;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#field.addEventListener("keydown", (event) => this.#press(event));
    this.#field.addEventListener("input", () => this.#changed());
    byId("cancel").addEventListener("click", () => this.#stopEditing());
  }

  /** Show a conversation's draft. @param {string} draft */
  open(draft) {
    this.#edited = null;
    this.#set(draft);
  }

  focus() {
    this.#field.focus();
  }

  /** The message that is edited. */
  get edited() {
    return this.#edited?.id ?? null;
  }

  /**
   * @param {string} id
   * @param {string} text
   */
  edit(id, text) {
    this.#edited = { id, text, draft: this.#edited?.draft ?? this.#field.value };
    this.#set(text);
    this.focus();
  }

  /** Take back a text that was not sent, before what is there. @param {string} text */
  revise(text) {
    const before = this.#edited?.draft ?? this.#field.value;
    this.#edited = null;
    this.#set(before ? `${text}\n${before}` : text);
    this.#hearer.onDraft(this.#field.value);
    this.focus();
  }

  #stopEditing() {
    const draft = this.#edited?.draft ?? "";
    this.#edited = null;
    this.#set(draft);
    this.focus();
  }

  /** @param {string} text */
  #set(text) {
    this.#field.value = text;
    this.#editing.hidden = this.#edited === null;
    setText(this.#send, this.#edited ? "Save" : "Send");
    this.#able();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    // An input method takes Enter to choose what it offers: that sends nothing.
    if (event.isComposing || event.keyCode === IN_COMPOSITION) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      void this.#submit();
    } else if (event.key === "Escape" && this.#edited) {
      event.preventDefault();
      this.#stopEditing();
    }
  }

  #changed() {
    this.#able();
    if (this.#edited) return;
    this.#hearer.onDraft(this.#field.value);
    if (this.#field.value.trim()) this.#hearer.onTyping();
  }

  #able() {
    this.#send.disabled = !this.#field.value.trim();
  }

  async #submit() {
    const text = clean(this.#field.value);
    if (!text || this.#field.readOnly) return;
    if (this.#edited) return this.#save(this.#edited, text);
    if (!this.#hearer.onSend(text)) return;
    this.#set("");
    this.#hearer.onDraft("");
    this.focus();
  }

  /**
   * @param {{ id: string, text: string }} edited
   * @param {string} text
   */
  async #save({ id, text: before }, text) {
    this.#field.readOnly = true;
    try {
      if (text !== before) await this.#hearer.onEdit(id, text);
      if (this.#edited?.id === id) this.#stopEditing();
    } catch (error) {
      this.#hearer.onProblem(error);
    } finally {
      this.#field.readOnly = false;
    }
  }
}
