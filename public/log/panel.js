/**
 * A log with all that belongs to it: tools, the pane with its lines, and what there is to say of
 * them. Pages give it lines and say where they come from.
 */

import { element, setText } from "../site/dom.js";
import { plural } from "../site/format.js";
import { Finder } from "./finder.js";
import { hashOf, linesOf, ordered } from "./links.js";
import { LogTools } from "./tools.js";
import { LogView } from "./view.js";

/** @import { Origin } from "./fulltext.js" */
/** @import { Range } from "./links.js" */

/** How long what was said of a copy stays to be read, in ms. */
const SAID = 8000;
/** Between two counts of what comes in a burst, in ms. */
const COUNTING = 100;

/**
 * @typedef {object} Counts
 * @property {number} plannedEnds
 * @property {number} cuts
 */

export class LogPanel {
  #pane = element("div", "log", "");
  #jump = document.createElement("button");
  #empty = element("p", "log-empty", "");
  #said = element("p", "log-said", "");
  #lines = element("span", "", "");
  #planned = element("span", "", "");
  #cuts = element("span", "", "");
  #view;
  #finder;
  #tools;
  /** Lines that the address names and that have not been seen yet. @type {Range | null} */
  #wanted = null;
  /** The line that a range begins with when its other end is chosen. @type {number | null} */
  #first = null;
  #hasAll = false;
  #isDue = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #saying;
  /** @type {() => Counts | null} */
  #counts = () => null;

  /** @param {HTMLElement} host gets it all */
  constructor(host) {
    this.#pane.id = "log";
    this.#pane.role = "log";
    this.#pane.ariaLive = "off";
    this.#pane.tabIndex = 0;
    this.#jump.id = "jump";
    this.#jump.className = "jump";
    this.#jump.type = "button";
    this.#jump.hidden = true;
    this.#said.role = "status";
    this.#view = new LogView(this.#pane, this.#jump);
    this.#finder = new Finder(this.#view, this.#pane, (range) => this.#link(range));
    this.#tools = new LogTools(this.#view, (text) => this.say(text), () => this.#filtered());
    const tools = element("div", "log-tools", "");
    tools.append(this.#finder.form, this.#tools.element);
    const frame = element("div", "log-frame", "");
    frame.append(this.#pane, this.#empty, this.#jump, this.#said);
    const footer = document.createElement("footer");
    footer.append(this.#lines, this.#planned, this.#cuts);
    this.#lines.id = "lines";
    this.#planned.id = "planned";
    this.#planned.title =
      "Each response ends by itself after a while; this page came back for the rest.";
    this.#cuts.id = "cuts";
    this.#cuts.title = "Ends that nobody planned; this page came back from them too.";
    host.classList.add("log-panel");
    host.append(tools, frame, footer);
    this.#pane.addEventListener("click", (event) => this.#onClick(event));
    addEventListener("keydown", (event) => this.#onKey(event));
    addEventListener("hashchange", () => this.#seek());
    this.#count();
  }

  /** What is to be filled; `update` shows it. */
  get lines() {
    return this.#view.lines;
  }

  /**
   * Begin with another log, empty.
   *
   * @param {string} name what it is the log of
   * @param {Origin} origin
   * @param {() => Counts | null} counts what its stream has counted
   */
  begin(name, origin, counts) {
    this.#pane.ariaLabel = `Log of ${name}`;
    this.#tools.fileName = name;
    this.#tools.origin = origin;
    this.#counts = counts;
    this.#hasAll = false;
    this.#view.clear();
    this.#tools.filter(false);
    this.say("");
    this.#seek();
    this.#count();
  }

  /** Show what has been added. */
  update() {
    this.#view.update();
    this.#finder.update();
    if (this.#wanted) this.#find(this.#wanted);
    // A burst of lines must not count for each of them.
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => {
      this.#isDue = false;
      this.#count();
    }, COUNTING);
  }

  /** Mark where lines are lost. @param {string | null} from null: from the beginning on */
  lose(from) {
    const where = from === null ? "Earlier lines are" : "Lines at this place are";
    this.lines.note("gap", `${where} no longer kept by the server.`);
    this.update();
  }

  /** Nothing more will come. */
  end() {
    this.#hasAll = true;
    if (this.#wanted) this.#find(this.#wanted);
    this.#count();
  }

  /** Tell the reader, for a while. @param {string} text */
  say(text) {
    setText(this.#said, text);
    clearTimeout(this.#saying);
    if (text) this.#saying = setTimeout(() => setText(this.#said, ""), SAID);
  }

  #count() {
    const { count, dropped, errors, rows } = this.lines;
    const gone = dropped ? `, the first ${dropped.toLocaleString("en")} no longer on this page` : "";
    setText(this.#lines, plural(count, "line") + gone);
    const { plannedEnds, cuts } = this.#counts() ?? { plannedEnds: 0, cuts: 0 };
    setText(this.#planned, plural(plannedEnds, "planned end"));
    setText(this.#cuts, plural(cuts, "cut"));
    this.#tools.update();
    const hasNone = this.#view.look.errorsOnly ? errors === 0 : rows.length === 0;
    this.#empty.hidden = !hasNone;
    setText(this.#empty, hasNone ? this.#whyEmpty() : "");
  }

  #whyEmpty() {
    if (this.lines.rows.length) return `No errors in ${plural(this.lines.count, "line")}.`;
    return this.#hasAll ? "Nothing was written." : "Waiting for the first line.";
  }

  #filtered() {
    this.#finder.again();
    this.#count();
  }

  /** Go where the address says. */
  #seek() {
    const range = linesOf(location.hash);
    this.#view.change({ marked: range });
    this.#wanted = range;
    this.#first = range?.from ?? null;
    if (range) this.#find(range);
  }

  /** @param {Range} range */
  #find(range) {
    const { count } = this.lines;
    const row = this.lines.row(range.from);
    if (row) {
      this.#wanted = null;
      if (this.#view.look.errorsOnly) this.#tools.filter(false);
      this.#view.reveal(row.serial);
    } else if (range.from <= count) {
      this.#wanted = null;
      this.say(`Line ${range.from} is no longer on this page. Download has it.`);
    } else if (this.#hasAll) {
      this.#wanted = null;
      this.say(`There is no line ${range.from}: the log has ${plural(count, "line")}.`);
    }
  }

  /** Have the address name these lines, and go there. @param {Range} range */
  #link(range) {
    history.replaceState(history.state, "", hashOf(range));
    this.#seek();
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const { target } = event;
    if (!(target instanceof Element) || event.ctrlKey || event.metaKey || event.altKey) return;
    const number = Number(target.closest(".number")?.getAttribute("data-number"));
    if (!number) return;
    event.preventDefault();
    const first = event.shiftKey ? (this.#first ?? number) : number;
    const range = ordered(first, number);
    history.replaceState(history.state, "", hashOf(range));
    this.#first = first;
    this.#wanted = null;
    this.#view.change({ marked: range });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const { target } = event;
    const types = target instanceof Element && target.closest("input, textarea, select, dialog");
    if (types || this.#pane.offsetParent === null) return;
    if (event.key === "/") {
      event.preventDefault();
      this.#finder.focus();
    } else if (target === this.#pane && (event.key === "n" || event.key === "N")) {
      this.#finder.step(event.key === "n" ? 1 : -1);
    }
  }
}
