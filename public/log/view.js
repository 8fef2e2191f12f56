/**
 * Shows a log's lines in a scrolling pane: only the rows in sight are in the document, so that a
 * hundred thousand lines cost what fifty do.
 *
 * The pane follows the newest row until its reader scrolls up, and again from when they reach the
 * end. All rows have one height, which the style sheet sets.
 */

import { show } from "./ansi.js";
import { LogLines } from "./lines.js";

/** @import { Row } from "./lines.js" */

/** Rows kept in the document above and below those in sight. */
const MARGIN = 20;
/** How long a scrolling may glide on, in ms, after its reader asked for the end. */
const GLIDE = 700;

export class LogView {
  lines = new LogLines();
  #pane;
  #jump;
  #space = document.createElement("div");
  #window = document.createElement("div");
  /** @type {Map<Row, { element: HTMLElement, version: number }>} */
  #shown = new Map();
  #rowHeight = 0;
  #following = true;
  #lastTop = 0;
  #glidesUntil = 0;
  #lastDropped = 0;
  #seen = 0;
  #frame = 0;

  /**
   * @param {HTMLElement} pane scrolls, and gets the rows
   * @param {HTMLButtonElement} jump brings the reader back to the end
   */
  constructor(pane, jump) {
    this.#pane = pane;
    this.#jump = jump;
    this.#space.className = "log-space";
    this.#window.className = "log-window";
    this.#space.append(this.#window);
    pane.append(this.#space);
    pane.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    jump.addEventListener("click", () => {
      this.#follow();
      pane.focus({ preventScroll: true });
    });
    pane.addEventListener("keydown", (event) => {
      if (event.key !== "End") return;
      // The browser would glide to where the end was, which has moved on by then.
      event.preventDefault();
      this.#follow();
    });
    new ResizeObserver(() => {
      this.#rowHeight = 0;
      this.update();
    }).observe(pane);
  }

  /** Begin with an empty log. */
  clear() {
    this.lines = new LogLines();
    for (const { element } of this.#shown.values()) element.remove();
    this.#shown.clear();
    this.#following = true;
    this.#lastTop = this.#lastDropped = this.#seen = 0;
    this.update();
  }

  /** Show what has changed, in the next frame. */
  update() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#pane;
    if (scrollHeight - scrollTop - clientHeight < this.#rowHeight) this.#following = true;
    else if (scrollTop < this.#lastTop && performance.now() > this.#glidesUntil) this.#pause();
    this.#lastTop = scrollTop;
    this.update();
  }

  #follow() {
    this.#following = true;
    // A scrolling that is under way must not look like its reader's next move.
    this.#glidesUntil = performance.now() + GLIDE;
    this.update();
  }

  #pause() {
    if (!this.#following) return;
    this.#following = false;
    this.#seen = this.lines.count;
  }

  #render() {
    const { rows, dropped } = this.lines;
    const height = (this.#rowHeight ||= this.#measure());
    this.#space.style.height = `${rows.length * height}px`;
    if (this.#following) this.#pane.scrollTop = this.#pane.scrollHeight;
    else if (dropped > this.#lastDropped) {
      this.#pane.scrollTop -= (dropped - this.#lastDropped) * height;
    }
    this.#lastDropped = dropped;
    const { scrollTop, clientHeight } = this.#pane;
    this.#lastTop = scrollTop;
    const first = Math.max(0, Math.floor(scrollTop / height) - MARGIN);
    const last = Math.ceil((scrollTop + clientHeight) / height) + MARGIN;
    this.#window.style.transform = `translateY(${first * height}px)`;
    this.#place(rows.slice(first, last));
    this.#tellNew();
  }

  /**
   * Put these rows into the document. Elements that stay are not moved: a selection in them stays.
   *
   * @param {Row[]} rows
   */
  #place(rows) {
    const wanted = new Set(rows);
    for (const [row, { element }] of this.#shown) {
      if (!wanted.has(row)) {
        element.remove();
        this.#shown.delete(row);
      }
    }
    let next = this.#window.firstChild;
    for (const row of rows) {
      const element = this.#element(row);
      if (element === next) next = next.nextSibling;
      else this.#window.insertBefore(element, next);
    }
  }

  /** @param {Row} row */
  #element(row) {
    const shown = this.#shown.get(row);
    if (shown?.version === row.version) return shown.element;
    const element = shown?.element ?? rowElement(row);
    this.#shown.set(row, { element, version: row.version });
    const text = /** @type {HTMLElement} */ (element.lastChild);
    show(text, row.state + row.text);
    return element;
  }

  #measure() {
    const probe = rowElement({ number: 1, kind: "stdout", state: "", text: "", version: 0 });
    this.#window.append(probe);
    const { height } = probe.getBoundingClientRect();
    probe.remove();
    return height || 20; // a pane that is not displayed has no height; it is measured again
  }

  #tellNew() {
    this.#jump.hidden = this.#following;
    if (this.#following) return;
    const fresh = this.lines.count - this.#seen;
    const label = fresh ? `${fresh.toLocaleString("en")} new: jump to latest` : "Jump to latest";
    if (this.#jump.textContent !== label) this.#jump.textContent = label;
  }
}

/** @param {Row} row */
function rowElement(row) {
  const element = document.createElement("div");
  element.className = `row ${row.kind}`;
  // The number is drawn by the style sheet out of this: it can be neither selected nor copied.
  if (row.number !== null) element.dataset["number"] = String(row.number);
  const text = document.createElement("span");
  text.className = "text";
  if (row.kind === "stderr") {
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.textContent = row.number === null ? "" : "err";
    element.append(mark);
  }
  element.append(text);
  return element;
}
