/** A process's log as lines, of the pieces that come. It knows no React. */

import { object } from "../follower.js";

/** @import { StreamEvent } from "../follower.js" */

/**
 * A line. `key` grows by one from line to line. `time` in Unix ms is its beginning's, null where it
 * is not known. A `gap` is where lines are missing, a `failure` why there are no more.
 *
 * @typedef {object} Line
 * @property {number} key
 * @property {"stdout" | "stderr" | "gap" | "failure"} kind
 * @property {string} text
 * @property {number | null} time
 */

/**
 * How the process does; times in Unix ms, null where they are not known (yet).
 *
 * @typedef {object} Run
 * @property {"waiting" | "running" | "exited" | "failed"} state
 * @property {number | null} startedAt
 * @property {number | null} endedAt
 * @property {number | null} code
 * @property {string | null} signal
 * @property {string} error
 */

/**
 * @typedef {object} Log
 * @property {readonly Line[]} lines
 * @property {Readonly<Run>} run
 * @property {Readonly<{ stdout?: number, stderr?: number }>} open the keys of lines that go on
 * @property {number} next the key of the next line
 */

/** Lines that are kept where the caller does not say how many. */
const KEEP = 5000;
/** A line that is longer goes on in another one. */
const LONGEST = 65_536;

/** @type {Readonly<Log>} */
export const NO_LOG = Object.freeze({
  lines: Object.freeze([]),
  run: Object.freeze({
    state: "waiting",
    startedAt: null,
    endedAt: null,
    code: null,
    signal: null,
    error: "",
  }),
  open: Object.freeze({}),
  next: 0,
});

/**
 * The log after some more events.
 *
 * @param {Readonly<Log>} log
 * @param {readonly StreamEvent[]} events
 * @param {number} [keep]
 * @returns {Log}
 */
export function written(log, events, keep = KEEP) {
  const lines = [...log.lines];
  let { run, next } = log;
  const open = { ...log.open };
  /** @param {Line["kind"]} kind @param {string} text @param {number | null} time */
  const add = (kind, text, time) => lines.push({ key: next++, kind, text, time });
  /** @param {"stdout" | "stderr"} kind @param {string} text @param {number | null} time */
  const write = (kind, text, time) => {
    const place = lines.length - next + (open[kind] ?? next);
    const line = lines[place];
    if (line && line.text.length + text.length <= LONGEST) {
      lines[place] = { ...line, text: line.text + text };
    } else {
      open[kind] = next;
      add(kind, text, time);
    }
  };
  for (const { type, data } of events) {
    const { text = "", time: at, open: goesOn, error, code, signal } = object(data);
    const time = typeof at === "number" ? at : null;
    if (type === "stdout" || type === "stderr") {
      write(type, String(text), time);
      if (goesOn !== true) delete open[type];
    } else if (type === "started") {
      run = { ...run, state: "running", startedAt: time };
    } else if (type === "exit") {
      const how = {
        code: typeof code === "number" ? code : null,
        signal: typeof signal === "string" ? signal : null,
      };
      run = { ...run, ...how, state: "exited", endedAt: time };
    } else if (type === "failure") {
      run = { ...run, state: "failed", endedAt: time, error: String(error) };
      add(type, run.error, time);
    } else if (type === "gap") {
      add(type, "", time);
    }
  }
  return { lines: keep > 0 ? lines.slice(-keep) : [], run, open, next };
}

/**
 * The log after events were lost.
 *
 * @param {Readonly<Log>} log
 * @returns {Log}
 */
export function lost({ lines, run, next }) {
  const gap = /** @type {const} */ ({ key: next, kind: "gap", text: "", time: null });
  return { lines: [...lines, gap], run, open: {}, next: next + 1 };
}
