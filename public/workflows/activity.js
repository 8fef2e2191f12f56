/** The activity feed on the page. */

import { element, setText } from "../site/dom.js";
import { clockTime } from "../site/format.js";
import { arrange } from "./list.js";

/** @import { Entry } from "./feed.js" */

export class Activity {
  #list;
  /** @type {Map<string, Row>} */
  #rows = new Map();

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  /**
   * @param {readonly Readonly<Entry>[]} entries the newest first
   * @param {(poId: string) => string} title of an order
   * @param {boolean} isNews what is new slides in
   */
  show(entries, title, isNews) {
    const before = this.#rows;
    this.#rows = new Map();
    const items = entries.map((entry) => {
      const row = before.get(entry.key) ?? new Row(entry.poId, isNews);
      this.#rows.set(entry.key, row);
      row.show(entry, entry.poId && title(entry.poId));
      return row.item;
    });
    arrange(this.#list, items);
  }
}

class Row {
  item = element("li", "entry", "");
  #time = document.createElement("time");
  #badge = element("span", "badge", "");
  #link = document.createElement("a");
  #text = element("span", "text", "");

  /**
   * @param {string} poId
   * @param {boolean} isNew
   */
  constructor(poId, isNew) {
    if (isNew) this.item.classList.add("new");
    this.#link.href = `#${poId}`;
    this.#link.hidden = !poId;
    const words = element("p", "words", "");
    words.append(this.#link, " ", this.#text);
    this.item.append(this.#time, this.#badge, words);
  }

  /**
   * @param {Readonly<Entry>} entry
   * @param {string} title
   */
  show({ time, badge, text }, title) {
    setText(this.#time, clockTime(time));
    this.#time.dateTime = new Date(time).toISOString();
    setText(this.#badge, badge.word);
    this.#badge.dataset["tone"] = badge.tone;
    setText(this.#link, title);
    setText(this.#text, text);
  }
}
