/** The search field of a log: how many lines have the text, and the way from one to the next. */

import { element, setText } from "../site/dom.js";
import { isError } from "./lines.js";
import { linesTyped } from "./links.js";
import { Search } from "./search.js";

/** @import { Range } from "./links.js" */
/** @import { LogView } from "./view.js" */

/** How long after the last key, in ms, the search begins. */
const TYPING = 120;
/** While lines come, the count is brought up to date so often, in ms. */
const COUNTING = 250;

export class Finder {
  form = document.createElement("form");
  #view;
  #pane;
  #goTo;
  #search = new Search();
  #field = searchField();
  /** The count changes as lines come; what is announced changes as its reader moves. */
  #count = element("span", "count", "");
  #heard = element("span", "visually-hidden", "");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #typing;
  #isDue = false;

  /**
   * @param {LogView} view
   * @param {HTMLElement} pane gets the focus when the field is left
   * @param {(range: Range) => void} goTo is called when the number of a line was typed
   */
  constructor(view, pane, goTo) {
    this.#view = view;
    this.#pane = pane;
    this.#goTo = goTo;
    this.#count.ariaHidden = "true";
    this.#heard.role = "status";
    this.form.className = "log-search";
    this.form.role = "search";
    this.form.append(
      this.#field,
      this.#count,
      this.#heard,
      this.#button("↑", "Previous match", -1),
      this.#button("↓", "Next match", 1),
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.#field.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#begin(), TYPING);
    });
    this.#field.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Let its reader type. */
  focus() {
    this.#field.focus();
    this.#field.select();
  }

  /** Another log is shown, or other rows of this one: look for the same text in it. */
  again() {
    this.#search.begin(this.#search.pattern ? this.#field.value : "");
    this.#view.change({ current: null });
    this.#look();
  }

  /** Lines have come. */
  update() {
    if (this.#isDue || this.#search.pattern === null) return;
    this.#isDue = true;
    setTimeout(() => {
      this.#isDue = false;
      this.#look();
    }, COUNTING);
  }

  /** Go to the next match, or the one before. @param {1 | -1} direction */
  step(direction) {
    if (this.#typing !== undefined) return this.#begin();
    const { current } = this.#view.look;
    const from = current ?? this.#view.top - (direction > 0 ? 1 : 0);
    this.#go(this.#search.beside(from, direction));
  }

  /** Look for what was typed, and go to the first match from where the reader is. */
  #begin() {
    clearTimeout(this.#typing);
    this.#typing = undefined;
    const text = this.#field.value;
    this.#search.begin(text.startsWith(":") ? "" : text);
    this.#view.change({ pattern: this.#search.pattern, current: null });
    this.#look();
    if (this.#search.pattern) this.#go(this.#search.beside(this.#view.top - 1, 1));
    else setText(this.#heard, "");
  }

  /** Read the lines that were not read yet. */
  #look() {
    const { lines, look } = this.#view;
    this.#search.update(lines, look.errorsOnly ? isError : () => true);
    this.#tell();
  }

  /** @param {number | undefined} serial */
  #go(serial) {
    if (serial !== undefined) {
      this.#view.change({ current: serial });
      this.#view.reveal(serial);
    }
    this.#tell();
    setText(this.#heard, this.#count.textContent ?? "");
  }

  #tell() {
    const { found, pattern } = this.#search;
    const place = found.indexOf(this.#view.look.current ?? -1) + 1;
    const of = found.length.toLocaleString("en");
    const some = place ? `${place.toLocaleString("en")} of ${of}` : of;
    setText(this.#count, pattern === null ? "" : found.length ? some : "No match");
    for (const step of this.form.querySelectorAll("button")) step.disabled = found.length === 0;
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.isComposing) return;
    if (event.key === "Enter") {
      event.preventDefault();
      const range = linesTyped(this.#field.value);
      if (range) this.#goTo(range);
      else this.step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.#field.value = "";
      this.#begin();
      this.#pane.focus({ preventScroll: true });
    }
  }

  /**
   * @param {string} sign
   * @param {string} label
   * @param {1 | -1} direction
   */
  #button(sign, label, direction) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = sign;
    made.ariaLabel = made.title = label;
    made.disabled = true;
    made.addEventListener("click", () => this.step(direction));
    return made;
  }
}

function searchField() {
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Search, or :120 for a line";
  field.ariaLabel = "Search the log; a colon and a number go to that line";
  field.title = "/ comes here; Enter and Shift+Enter go on and back; Escape leaves";
  field.autocomplete = "off";
  field.spellcheck = false;
  return field;
}
