/**
 * A conversation's messages in sight: it follows the end while that is in sight, stays where the
 * reader is otherwise, and asks for earlier ones when they come near the beginning.
 *
 * By keyboard the messages are one stop: the arrow keys go from one to the next. The tools of one's
 * own message lie beside the log, not in it, so that nobody is told of them as of something said.
 */

import { byId, setText } from "../site/dom.js";
import { plural } from "../site/format.js";
import { make, show } from "./row.js";

/** @import { Row, Said } from "./rows.js" */

/**
 * @typedef {object} Hearer
 * @property {() => void} onEarlier
 * @property {() => void} onMoved the end came in sight, or went out of it
 * @property {(action: string, row: Said) => void} onAction `edit` and `delete` what was sent;
 *   `revise`, `retry` and `discard` what was not
 */

/** From how near its end counts as in sight, in px, and how near the beginning asks for more. */
const NEAR = 32;
const EARLY = 400;
/** How long a change is not announced after it was made. */
const UNANNOUNCED = 500;

export class Transcript {
  /** Whether the end is in sight. */
  isAtEnd = true;
  #pane = byId("pane");
  #log = byId("log");
  #list = byId("rows");
  #earlier = byId("earlier");
  #jump = byId("jump");
  #tools = byId("tools");
  #hearer;
  /** @type {Map<string, { made: HTMLElement, row: Row }>} */
  #shown = new Map();
  /** The conversation that is shown. @type {string | null} */
  id = null;
  /** Where the pane stood when it was looked at last. */
  #top = 0;
  /** The message that the keyboard or the pointer is at. @type {HTMLElement | null} */
  #current = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #quiet;

  /** @param {Hearer} hearer */
  constructor(hearer) {
    this.#hearer = hearer;
    this.#pane.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#jump.addEventListener("click", () => this.toEnd());
    this.#earlier.addEventListener("click", () => hearer.onEarlier());
    const grown = new ResizeObserver(() => this.#stay());
    grown.observe(this.#pane);
    grown.observe(this.#list);
    this.#log.addEventListener("keydown", (event) => this.#move(event));
    this.#log.addEventListener("focusin", ({ target }) => this.#aim(target));
    this.#pane.addEventListener("pointerover", ({ target }) => {
      if (!this.#tools.contains(document.activeElement)) this.#aim(target);
    });
    this.#pane.addEventListener("pointerleave", () => this.#release());
    this.#pane.addEventListener("focusout", ({ relatedTarget }) => {
      if (!(relatedTarget instanceof Node && this.#pane.contains(relatedTarget))) this.#release();
    });
    this.#tools.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") this.#current?.focus();
    });
    this.#pane.addEventListener("click", ({ target }) => this.#act(target));
  }

  /**
   * Show the rows of a conversation; another one is shown from its first new message on, or from
   * its end.
   *
   * @param {string} id
   * @param {Row[]} rows
   * @param {string} sender the other one's name
   * @param {boolean} hasEarlier
   */
  show(id, rows, sender, hasEarlier) {
    const isOther = id !== this.id;
    // The reader has scrolled, and the browser has not told of it yet.
    if (this.#pane.scrollTop !== this.#top) this.#scrolled();
    const before = isOther ? null : this.#place();
    if (isOther) this.#clear(id);
    this.#earlier.hidden = !hasEarlier;
    const elements = rows.map((row) => this.#element(row, sender));
    const first = this.#list.firstElementChild;
    if (isOther || (first && elements[0] !== first)) this.#hush();
    this.#arrange(elements);
    this.#stop(elements);
    if (isOther) this.#begin();
    else if (this.isAtEnd) this.#stay();
    else if (before?.made.isConnected) {
      this.#pane.scrollTop += before.made.getBoundingClientRect().top - before.top;
      this.#top = this.#pane.scrollTop;
    }
    if (this.#current === null) this.#tools.hidden = true;
    else if (!this.#tools.hidden) this.#aim(this.#current);
  }

  /** @param {number} count new ones below what is in sight */
  showJump(count) {
    this.#jump.hidden = this.isAtEnd;
    setText(this.#jump, count ? `${plural(count, "new message")}: go to the end` : "Go to the end");
  }

  toEnd() {
    this.#pane.scrollTop = this.#pane.scrollHeight;
    this.#scrolled();
  }

  /** Go back to the message that one was at. */
  focus() {
    this.#current?.focus({ preventScroll: true });
  }

  /** @param {string} id */
  #clear(id) {
    this.id = id;
    this.#shown.clear();
    this.#list.replaceChildren();
    this.#current = null;
    this.#release();
  }

  /** What is filled in is no news: it is not announced. */
  #hush() {
    clearTimeout(this.#quiet);
    this.#log.ariaLive = "off";
    this.#quiet = setTimeout(() => (this.#log.ariaLive = "polite"), UNANNOUNCED);
  }

  /**
   * @param {Row} row
   * @param {string} sender
   */
  #element(row, sender) {
    const made = this.#shown.get(row.key)?.made ?? make(row);
    show(made, row, row.kind === "said" && row.isOwn ? "You" : sender);
    this.#shown.set(row.key, { made, row });
    return made;
  }

  /**
   * Put the elements in order; those that stand there already are not touched.
   *
   * @param {HTMLElement[]} elements
   */
  #arrange(elements) {
    const wanted = new Set(elements);
    for (const [key, { made }] of this.#shown) {
      if (wanted.has(made)) continue;
      made.remove();
      this.#shown.delete(key);
      if (made === this.#current) this.#current = null;
    }
    let place = this.#list.firstElementChild;
    for (const made of elements) {
      if (made === place) place = place.nextElementSibling;
      else this.#list.insertBefore(made, place);
    }
  }

  /**
   * One message is a stop of the keyboard: the current one, else the last.
   *
   * @param {HTMLElement[]} elements
   */
  #stop(elements) {
    const stop = this.#current ?? elements.findLast((made) => made.classList.contains("said"));
    for (const made of elements) {
      if (made.classList.contains("said")) made.tabIndex = made === stop ? 0 : -1;
    }
  }

  #begin() {
    const divider = this.#list.querySelector(".new");
    this.#pane.scrollTop = this.#pane.scrollHeight;
    if (divider) {
      const above = divider.getBoundingClientRect().top - this.#pane.getBoundingClientRect().top;
      if (above < 0) this.#pane.scrollTop += above - NEAR;
    }
    this.#scrolled();
  }

  /** The first row in sight, and where it stands. */
  #place() {
    const { top } = this.#pane.getBoundingClientRect();
    const rows = this.#list.children;
    let [from, to] = [0, rows.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((rows[middle]?.getBoundingClientRect().bottom ?? 0) <= top) from = middle + 1;
      else to = middle;
    }
    const made = rows[from];
    return made ? { made, top: made.getBoundingClientRect().top } : null;
  }

  /** What has grown, or become narrower, does not push the end out of sight. */
  #stay() {
    if (!this.isAtEnd) return;
    this.#pane.scrollTop = this.#pane.scrollHeight;
    this.#top = this.#pane.scrollTop;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#pane;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    this.#top = scrollTop;
    if (scrollTop < EARLY && !this.#earlier.hidden) this.#hearer.onEarlier();
    if (isAtEnd === this.isAtEnd) return;
    this.isAtEnd = isAtEnd;
    this.#hearer.onMoved();
  }

  // Of one message.

  /** @param {EventTarget | null} target */
  #aim(target) {
    const made = target instanceof Element ? target.closest(".said") : null;
    if (!(made instanceof HTMLElement)) return;
    const isOther = made !== this.#current;
    this.#current = made;
    if (isOther) this.#stop(/** @type {HTMLElement[]} */ ([...this.#list.children]));
    const row = this.#row(made);
    this.#tools.hidden = !row?.isOwn || row.id === null || row.isDeleted;
    this.#tools.style.top = `${made.offsetTop}px`;
  }

  #release() {
    const focused = document.activeElement;
    if (this.#tools.contains(focused) || this.#log.contains(focused)) return;
    this.#tools.hidden = true;
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const { target, key } = event;
    if (!(target instanceof HTMLElement) || !target.classList.contains("said")) return;
    const all = /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll(".said")]);
    const place = all.indexOf(target);
    const to = { ArrowUp: place - 1, ArrowDown: place + 1, Home: 0, End: all.length - 1 }[key];
    if (to !== undefined) {
      event.preventDefault();
      all[to]?.focus();
    } else if (key === "Enter" && !this.#tools.hidden) {
      event.preventDefault();
      this.#tools.querySelector("button")?.focus();
    }
  }

  /** @param {EventTarget | null} target */
  #act(target) {
    const button = target instanceof Element ? target.closest("button") : null;
    const action = button?.dataset["action"];
    const made = button?.closest(".said") ?? this.#current;
    const row = this.#row(made);
    if (action && row) this.#hearer.onAction(action, row);
  }

  /** @param {Element | null} made */
  #row(made) {
    const key = made instanceof HTMLElement ? made.dataset["key"] : undefined;
    const row = this.#shown.get(key ?? "")?.row;
    return row?.kind === "said" ? row : null;
  }
}
