/**
 * Shows a log's lines in a scrolling pane: only the rows in sight are in the document, so that a
 * hundred thousand lines cost what fifty do.
 *
 * The pane follows the newest row until its reader scrolls up, and again from when they reach the
 * end. Meanwhile the row at its top stays where it is, whatever comes, goes, or turns out to be
 * higher than it was thought to be.
 */

import { highlight } from "./highlight.js";
import { LogLines } from "./lines.js";
import { Listing } from "./listing.js";
import { measure } from "./measure.js";
import { rowElement, showText } from "./row.js";

/** @import { Range } from "./links.js" */
/** @import { Row } from "./lines.js" */
/** @import { Times } from "./times.js" */

/**
 * How it shows them. `marked`: lines that a link names. `pattern`: what is searched for; `current`
 * is the serial of the match that the reader is at.
 *
 * @typedef {object} Look
 * @property {boolean} wrap
 * @property {Times} times
 * @property {boolean} errorsOnly
 * @property {Range | null} marked
 * @property {RegExp | null} pattern
 * @property {number | null} current
 */

/** Rows kept in the document above and below those in sight. */
const MARGIN = 20;
/** How long a scrolling may glide on, in ms, after its reader asked for the end. */
const GLIDE = 700;
/** Showing rows tells their heights, which may bring others into sight, which tell theirs. */
const MOST_PASSES = 5;

export class LogView {
  lines = new LogLines();
  /** @type {Readonly<Look>} */
  look = {
    wrap: false,
    times: "off",
    errorsOnly: false,
    marked: null,
    pattern: null,
    current: null,
  };
  #pane;
  #jump;
  #space = document.createElement("div");
  #window = document.createElement("div");
  /** @type {Listing | null} */
  #listing = null;
  #isStale = true;
  /** @type {Map<Row, { element: HTMLElement, version: number }>} */
  #shown = new Map();
  #rowHeight = 0;
  #width = 0;
  #following = true;
  /** The row at the top of the pane, and how much of it is out of sight, in px. */
  #anchor = { serial: 0, offset: 0 };
  #lastTop = 0;
  #glidesUntil = 0;
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
      this.follow();
      pane.focus({ preventScroll: true });
    });
    pane.addEventListener("keydown", (event) => {
      if (event.key !== "End") return;
      // The browser would glide to where the end was, which has moved on by then.
      event.preventDefault();
      this.follow();
    });
    new ResizeObserver(() => {
      if (pane.clientWidth === this.#width) return this.update();
      this.#layOutAnew();
    }).observe(pane);
  }

  /** Begin with an empty log. */
  clear() {
    this.lines = new LogLines();
    this.#following = true;
    this.#anchor = { serial: 0, offset: 0 };
    this.#lastTop = this.#seen = 0;
    this.look = { ...this.look, marked: null, current: null };
    this.#layOutAnew();
  }

  /** Show it otherwise. @param {Partial<Look>} changes */
  change(changes) {
    const { wrap, times, errorsOnly } = this.look;
    this.look = { ...this.look, ...changes };
    const isSame =
      wrap === this.look.wrap && times === this.look.times && errorsOnly === this.look.errorsOnly;
    if (isSame) this.update();
    else this.#layOutAnew();
  }

  /** Show what has changed, in the next frame. */
  update() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  /** Whether the newest row is kept in sight. */
  get isFollowing() {
    return this.#following;
  }

  /** The serial of the row at the top of the pane. */
  get top() {
    if (!this.#following) return this.#anchor.serial;
    const listing = this.#listing;
    return listing?.rows[listing.heights.at(this.#pane.scrollTop)]?.serial ?? 0;
  }

  /** Keep the newest row in sight. */
  follow() {
    this.#following = true;
    // A scrolling that is under way must not look like its reader's next move.
    this.#glidesUntil = performance.now() + GLIDE;
    this.update();
  }

  /** Bring a row into sight, a third down the pane, and stay there. @param {number} serial */
  reveal(serial) {
    this.#pause();
    this.#anchor = { serial, offset: -Math.round(this.#pane.clientHeight / 3) };
    this.update();
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#pane;
    // What came of our own scrolling is nobody's move.
    if (Math.abs(scrollTop - this.#lastTop) < 1) return;
    if (scrollHeight - scrollTop - clientHeight < this.#rowHeight) this.#following = true;
    else if (scrollTop < this.#lastTop && performance.now() > this.#glidesUntil) this.#pause();
    this.#lastTop = scrollTop;
    this.#hold(scrollTop);
    this.update();
  }

  #pause() {
    if (!this.#following) return;
    this.#following = false;
    this.#seen = this.lines.count;
  }

  /** Take what is at the top of the pane for the anchor. @param {number} top */
  #hold(top) {
    const listing = this.#listing;
    if (!listing) return;
    const index = listing.heights.at(top);
    const serial = listing.rows[index]?.serial ?? 0;
    this.#anchor = { serial, offset: top - listing.heights.top(index) };
  }

  /** Forget all that was measured and made. */
  #layOutAnew() {
    this.#isStale = true;
    for (const { element } of this.#shown.values()) element.remove();
    this.#shown.clear();
    this.update();
  }

  #render() {
    const { wrap, times } = this.look;
    this.#pane.classList.toggle("wrapped", wrap);
    this.#pane.dataset["times"] = times;
    if (this.#isStale || !this.#listing) this.#listing = this.#measured();
    this.#isStale = false;
    const listing = this.#listing;
    listing.update();
    for (let pass = 0; pass < MOST_PASSES; pass += 1) {
      this.#scroll(listing);
      this.#placeAround(listing);
      if (!wrap || !this.#correct(listing)) break;
    }
    this.#lastTop = this.#pane.scrollTop;
    this.#decorate();
    this.#tellNew();
  }

  /** An empty listing for the pane as it is. */
  #measured() {
    const { wrap, times, errorsOnly } = this.look;
    const { rowHeight, columns } = measure(this.#pane, this.#window, times);
    this.#rowHeight = rowHeight;
    this.#width = this.#pane.clientWidth;
    return new Listing(this.lines, errorsOnly, rowHeight, wrap ? columns : Infinity);
  }

  /** Scroll to the end, or to where the anchor is now. @param {Listing} listing */
  #scroll(listing) {
    const { heights } = listing;
    this.#space.style.height = `${heights.total}px`;
    if (this.#following) this.#pane.scrollTop = this.#pane.scrollHeight;
    else {
      const { serial, offset } = this.#anchor;
      const top = heights.top(listing.indexOf(serial)) + offset;
      if (Math.abs(this.#pane.scrollTop - top) >= 1) this.#pane.scrollTop = top;
    }
  }

  /** @param {Listing} listing */
  #placeAround({ heights, rows }) {
    const { scrollTop, clientHeight } = this.#pane;
    const first = Math.max(0, heights.at(scrollTop) - MARGIN);
    const last = heights.at(scrollTop + clientHeight) + 1 + MARGIN;
    this.#window.style.transform = `translateY(${heights.top(first)}px)`;
    this.#place(rows.slice(first, last));
  }

  /** Make the heights of what is shown true; return whether one was not. @param {Listing} listing */
  #correct(listing) {
    let isOther = false;
    for (const [row, { element }] of this.#shown) {
      const index = listing.indexOf(row.serial);
      const { height } = element.getBoundingClientRect();
      if (!height || Math.abs(height - listing.heights.get(index)) < 0.5) continue;
      listing.heights.set(index, height);
      isOther = true;
    }
    return isOther;
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
    const element = shown?.element ?? rowElement(row, this.look.times, this.lines.began);
    if (shown) showText(element, row);
    this.#shown.set(row, { element, version: row.version });
    return element;
  }

  #decorate() {
    const { marked, pattern, current } = this.look;
    for (const [{ number, serial }, { element }] of this.#shown) {
      const isMarked = marked && number !== null && number >= marked.from && number <= marked.to;
      element.classList.toggle("marked", Boolean(isMarked));
      element.classList.toggle("current", serial === current);
    }
    const texts = [...this.#shown].map(([{ serial }, { element }]) => ({
      text: /** @type {Element} */ (element.lastChild),
      isCurrent: serial === current,
    }));
    highlight(pattern, pattern ? texts : []);
  }

  #tellNew() {
    this.#jump.hidden = this.#following;
    if (this.#following) return;
    const fresh = this.lines.count - this.#seen;
    const label = fresh ? `${fresh.toLocaleString("en")} new: jump to latest` : "Jump to latest";
    if (this.#jump.textContent !== label) this.#jump.textContent = label;
  }
}
