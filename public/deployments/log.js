/** What the log of a deployment says: as lines, and of its build. It knows no page. */

import { sentence } from "../site/api.js";
import { clockTime } from "../site/format.js";

/** @import { StreamEvent } from "../lastevent/follower.js" */
/** @import { Channel, LogLines } from "../log/lines.js" */

/** @typedef {"building" | "ready" | "error" | "canceled" | "blocked"} State */

/**
 * A build as its log and its status tell it. Times in Unix ms, 0: not known. `percent` is null
 * before anything was told of it; `lost` is since when Vercel has been away, 0 if it is not.
 *
 * @typedef {object} Build
 * @property {State | null} state
 * @property {string | null} url
 * @property {string} error
 * @property {number | null} percent
 * @property {string} progress
 * @property {number} began
 * @property {number} last when the newest line was said
 * @property {number} ended
 * @property {number} lost
 */

/** @type {Readonly<Build>} */
export const UNHEARD = {
  ...{ state: null, url: null, error: "", percent: null, progress: "" },
  ...{ began: 0, last: 0, ended: 0, lost: 0 },
};

/** The word for each state, and how good it is, for a badge. */
export const STATES = {
  building: { word: "Building", tone: "accent" },
  ready: { word: "Ready", tone: "good" },
  error: { word: "Failed", tone: "bad" },
  canceled: { word: "Canceled", tone: "warn" },
  blocked: { word: "Blocked", tone: "warn" },
};

/** @type {Record<string, Channel>} */
const CHANNELS = { command: "command", warning: "warning", error: "error" };
/** Vercel gives most lines of the standard error no level: those that say so are errors. */
const SAYS_ERROR = /\b(error|failed|fatal|exception)\b|npm err!/i;

/** Whether nothing more is built. @param {Readonly<Build>} build */
export function isOver({ state }) {
  return state !== null && state !== "building";
}

/**
 * Write down what an event says.
 *
 * @param {LogLines} lines
 * @param {StreamEvent} event
 */
export function write(lines, event) {
  const fields = read(event);
  if (event.type === "log") {
    const text = String(fields.text ?? "");
    lines.add(channel(fields.level, text), text, false, time(fields.date));
  } else if (event.type === "state" && fields.over) {
    const { word } = STATES[/** @type {State} */ (fields.state)] ?? STATES.building;
    const failed = fields.state === "error" || fields.state === "blocked";
    const why = fields.error ? `: ${fields.error}` : "";
    lines.note(failed ? "failure" : "note", sentence(word + why));
  } else if (event.type === "failure") {
    lines.note("gap", sentence(String(fields.error)), time(fields.time));
  } else if (event.type === "upstream") {
    const at = clockTime(fields.time);
    const lost = `Vercel does not answer since ${at}; lines come when it does`;
    const back = `Vercel answers again, ${at}`;
    lines.note("note", fields.state === "lost" ? lost : back, time(fields.time));
  } else if (event.type === "gap") {
    lines.note("gap", "Lines are missing here.", time(fields.time));
  }
}

/**
 * What is known of the build after an event.
 *
 * @param {Readonly<Build>} build
 * @param {StreamEvent} event
 * @returns {Readonly<Build>}
 */
export function after(build, event) {
  const fields = read(event);
  if (event.type === "log") {
    const date = time(fields.date) ?? build.last;
    return { ...build, began: build.began || date, last: Math.max(build.last, date) };
  }
  if (event.type === "progress") {
    return { ...build, percent: fields.percent, progress: String(fields.text) };
  }
  if (event.type === "upstream") {
    return { ...build, lost: fields.state === "lost" ? (time(fields.time) ?? 0) : 0 };
  }
  return event.type === "state" ? told(build, fields) : build;
}

/**
 * What is known after the state was told, by the log or by the status.
 *
 * @param {Readonly<Build>} build
 * @param {{ state: State, url: string | null, error?: string }} fields
 * @returns {Readonly<Build>}
 */
export function told(build, { state, url, error = "" }) {
  // A status that was asked for before the end may be answered after it.
  if (isOver(build) && state === "building") return build;
  const now = { ...build, state, url: url ?? build.url, error };
  return isOver(now) && !build.ended ? { ...now, ended: build.last } : now;
}

/**
 * @param {string} level
 * @param {string} text
 */
function channel(level, text) {
  if (level === "warning" && SAYS_ERROR.test(text)) return "error";
  return CHANNELS[level] ?? "stdout";
}

/** @param {unknown} value */
function time(value) {
  return typeof value === "number" ? value : null;
}

/** @param {StreamEvent} event */
function read(event) {
  try {
    return event.json() ?? {};
  } catch {
    return { text: event.data };
  }
}
