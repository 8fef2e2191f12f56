/** The stages of an order: each with its bar, how it is, how long it took, what it says. */

import { sentence } from "../site/api.js";
import { element, setText } from "../site/dom.js";
import { duration } from "../site/format.js";
import { arrange } from "./list.js";
import { faults, found, percent, stageTitle, STATUSES } from "./words.js";

/** @import { Stage } from "./orders.js" */

const SECOND = 1000;

/** The rows of one order's stages; `prefix` begins their ids. */
export class Stages {
  #list;
  #prefix;
  /** @type {Map<string, Row>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} list
   * @param {string} prefix
   */
  constructor(list, prefix) {
    this.#list = list;
    this.#prefix = prefix;
  }

  /**
   * @param {readonly Readonly<Stage>[]} stages
   * @param {number} now by the server's clock, in Unix ms
   * @param {boolean} isOver
   */
  show(stages, now, isOver) {
    const rows = stages.map((stage) => {
      const row = this.#rows.get(stage.name) ?? new Row(`${this.#prefix}-${stage.name}`);
      this.#rows.set(stage.name, row);
      row.show(stage, now, isOver);
      return row.item;
    });
    arrange(this.#list, rows);
  }
}

class Row {
  item = element("li", "stage", "");
  #label = document.createElement("label");
  #bar = document.createElement("progress");
  #percent = element("span", "percent", "");
  #badge = element("span", "badge", "");
  #took = element("span", "took", "");
  #said = element("p", "said", "");
  #faults = element("ol", "faults", "");
  #error = "";

  /** @param {string} id */
  constructor(id) {
    this.#bar.id = this.#label.htmlFor = id;
    this.#bar.max = 100;
    const { item } = this;
    item.append(this.#label, this.#bar, this.#percent, this.#badge, this.#said, this.#took);
    item.append(this.#faults);
  }

  /**
   * @param {Readonly<Stage>} stage
   * @param {number} now
   * @param {boolean} isOver
   */
  show(stage, now, isOver) {
    const { status, error } = stage;
    const { word, tone } = STATUSES[status];
    const isRunning = status === "running";
    this.item.dataset["status"] = status;
    setText(this.#label, stageTitle(stage.name));
    setText(this.#badge, status === "pending" && isOver ? "Not begun" : word);
    this.#badge.dataset["tone"] = this.#bar.dataset["tone"] = tone;
    this.#bar.value = status === "skipped" ? 0 : stage.progress;
    setText(this.#percent, isRunning || stage.progress > 0 ? percent(stage.progress) : "");
    setText(this.#took, took(stage, isRunning ? now : null));
    setText(this.#said, error ? "" : saidOf(stage));
    if (error !== this.#error) this.#showFaults(error);
  }

  /** @param {string} error */
  #showFaults(error) {
    this.#error = error;
    const items = faults(error).map(({ line, what }) => {
      const item = document.createElement("li");
      if (line !== null) item.append(element("strong", "", `Line ${line}`), " ");
      item.append(what);
      return item;
    });
    this.#faults.replaceChildren(...(error ? items : []));
  }
}

/** @param {Readonly<Stage>} stage */
function saidOf({ status, message, result }) {
  if (status === "pending") return "";
  if (status === "completed") return [found(result), ...notes(result)].filter(Boolean).join(" · ");
  return message && sentence(message);
}

/** What a merchant should know of a stage that went well. @param {Stage["result"]} result */
function notes({ notes, reasons }) {
  return [notes, reasons].flat().filter((one) => typeof one === "string");
}

/**
 * For how long something went on, in words; empty if that is not known.
 *
 * @param {{ startedAt: number | null, endedAt: number | null }} times
 * @param {number | null} now for what goes on still
 */
export function took({ startedAt, endedAt }, now) {
  const end = now ?? endedAt;
  if (startedAt === null || end === null) return "";
  return duration(Math.max(0, end - startedAt) / SECOND);
}
