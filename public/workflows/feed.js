/**
 * The activity of all orders, the newest first: each event once, whether it comes live, again, or
 * with the history that a reload asks for. What belongs together is one entry: a stage's progress
 * goes on in its place, what it found goes to its end, and an order's failure to that of its stage.
 * It knows no page.
 */

import { sentence } from "../site/api.js";
import { found, stageTitle, STATES } from "./words.js";

/** @import { Badge } from "./words.js" */

/**
 * `time` in Unix ms. `key` names the entry for as long as it is there.
 *
 * @typedef {object} Entry
 * @property {string} key
 * @property {number} time
 * @property {string} poId empty: it is about no order
 * @property {Badge} badge
 * @property {string} text
 */

/**
 * What an entry is about: what a later one may belong to.
 *
 * @typedef {{ kind: "started" | "progress" | "retry" | "done" | "skipped" | "failed" | "over",
 *   stage: string, round: unknown }} About
 */

const MOST = 100;
/** Ids that are known: what came before them does not come again. */
const MOST_IDS = 2000;
const RETRY = /^Attempt \d+ failed/;

/** @type {Record<Exclude<About["kind"], "over">, Badge>} */
const BADGES = {
  started: { word: "Started", tone: "accent" },
  progress: { word: "Progress", tone: "accent" },
  retry: { word: "Retry", tone: "warn" },
  done: { word: "Done", tone: "good" },
  skipped: { word: "Skipped", tone: "" },
  failed: { word: "Failed", tone: "bad" },
};

export class Feed {
  /** The newest first. @type {Readonly<Entry & About>[]} */
  #entries = [];
  /** @type {Set<string>} */
  #ids = new Set();

  /** @returns {readonly Readonly<Entry>[]} */
  get entries() {
    return this.#entries;
  }

  /**
   * Take an event; return whether it was news.
   *
   * @param {{ id: string, type: string }} event
   * @param {Readonly<Record<string, unknown>>} fields
   * @param {number} now for an event that says no time
   */
  add({ id, type }, fields, now) {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > MOST_IDS) this.#ids.delete(/** @type {string} */ (first(this.#ids)));
    const made = entry(id, type, fields, now);
    if (!made) return false;
    const place = this.#entries.findIndex(({ poId }) => poId === made.poId);
    const before = this.#entries[place];
    if (before && belongs(made, before)) {
      const text = made.text || before.text;
      this.#entries = this.#entries.with(place, { ...made, key: before.key, text });
    } else this.#entries = [made, ...this.#entries].slice(0, MOST);
    return true;
  }

  /**
   * Say something that no event says.
   *
   * @param {string} text
   * @param {number} now
   */
  note(text, now) {
    const badge = { word: "Gap", tone: "warn" };
    const about = /** @type {const} */ ({ kind: "over", stage: "", round: 0 });
    const made = { key: `note ${now}`, time: now, poId: "", badge, text, ...about };
    this.#entries = [made, ...this.#entries].slice(0, MOST);
  }
}

/**
 * @param {string} id
 * @param {string} type
 * @param {Readonly<Record<string, unknown>>} fields
 * @param {number} now
 * @returns {Readonly<Entry & About> | null}
 */
function entry(id, type, fields, now) {
  const { poId, stage, round, time } = fields;
  const about = kindOf(type, fields);
  if (typeof poId !== "string" || !about) return null;
  const failed = fields["status"] === "cancelled" ? "cancelled" : "failed";
  const state = type === "completion" ? "completed" : failed;
  const name = typeof stage === "string" ? stage : "";
  return Object.freeze({
    ...{ key: id, poId, stage: name, round, kind: about },
    time: typeof time === "number" ? time : now,
    badge: about === "over" ? STATES[state] : BADGES[about],
    text: words(about, stageTitle(name), type, fields),
  });
}

/**
 * @param {string} type
 * @param {Readonly<Record<string, unknown>>} fields
 * @returns {About["kind"] | null}
 */
function kindOf(type, { status, message, over }) {
  if (type === "progress") return RETRY.test(String(message)) ? "retry" : "progress";
  if (type === "completion") return over === true ? "over" : "done";
  if (type === "failure") return "over";
  if (type !== "stage") return null;
  if (status === "started") return "started";
  return status === "completed" ? "done" : status === "skipped" ? "skipped" : "failed";
}

/**
 * @param {About["kind"]} kind
 * @param {string} title
 * @param {string} type
 * @param {Readonly<Record<string, unknown>>} fields
 */
function words(kind, title, type, fields) {
  if (kind === "over" && type === "completion") return found(fields) || "All stages are done.";
  if (kind === "started") return title;
  const said = type === "completion" ? found(fields) : (fields["error"] ?? fields["message"]);
  if (type === "stage" && kind === "done") return title;
  return typeof said === "string" && said ? sentence(`${title}: ${said}`) : title;
}

/**
 * Whether an event goes on where the last entry of its order stands.
 *
 * @param {About} next
 * @param {About} last
 */
function belongs(next, last) {
  if (next.stage !== last.stage || next.round !== last.round) return false;
  if (next.kind === "progress") return last.kind === "progress";
  if (next.kind === "done") return last.kind === "done";
  return next.kind === "over" && last.kind === "failed";
}

/** @template T @param {Iterable<T>} all */
function first(all) {
  for (const one of all) return one;
  return undefined;
}
