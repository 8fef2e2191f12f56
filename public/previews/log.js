/** What the log of a preview says: as lines, and of its run. It knows no page. */

import { sentence } from "../site/api.js";
import { clockTime } from "../site/format.js";

/** @import { StreamEvent } from "../lastevent/follower.js" */
/** @import { LogLines } from "../log/lines.js" */

/**
 * A run as its log tells it: when the process started and ended, in Unix ms (0: not yet), and how.
 *
 * @typedef {object} Run
 * @property {number} started
 * @property {number} ended
 * @property {string} outcome
 * @property {boolean} good whether it ended without a fault
 */

/** @type {Readonly<Run>} */
export const UNHEARD = { started: 0, ended: 0, outcome: "", good: true };

/**
 * Write down what an event says.
 *
 * @param {LogLines} lines
 * @param {StreamEvent} event
 */
export function write(lines, event) {
  const fields = read(event);
  const time = typeof fields.time === "number" ? fields.time : null;
  if (event.type === "stdout" || event.type === "stderr") {
    lines.add(event.type, String(fields.text ?? ""), fields.open === true, time);
  } else if (event.type === "started") {
    const until = fields.ends_at ? `, to be ended at ${clockTime(fields.ends_at)}` : "";
    const begun = `${fields.name ?? "The command"} started as process ${fields.pid}`;
    lines.note("note", `${begun}, ${clockTime(fields.time)}${until}`, time);
  } else if (event.type === "exit") {
    lines.note("note", `${exitWords(fields)}, ${clockTime(fields.time)}`, time);
  } else if (event.type === "failure") {
    lines.note("failure", sentence(String(fields.error)), time);
  } else if (event.type === "gap") {
    lines.note("gap", "Output is missing here: nobody could read it.", time);
  }
}

/**
 * What is known of the run after an event.
 *
 * @param {Readonly<Run>} run
 * @param {StreamEvent} event
 * @returns {Readonly<Run>}
 */
export function after(run, event) {
  if (!["started", "exit", "failure"].includes(event.type)) return run;
  const fields = read(event);
  if (event.type === "started") return { ...run, started: fields.time };
  const isExit = event.type === "exit";
  const outcome = isExit ? exitWords(fields) : "failed";
  return { ...run, ended: fields.time, outcome, good: isExit && !fields.code };
}

/** @param {{ code?: number | null, signal?: string | null }} exit */
export function exitWords({ code, signal }) {
  return signal ? `ended by ${signal}` : `exited with code ${code ?? "unknown"}`;
}

/** @param {StreamEvent} event */
function read(event) {
  try {
    return event.json() ?? {};
  } catch {
    return { text: event.data };
  }
}
