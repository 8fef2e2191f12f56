/** A job and its events, in words. */

import { sentence } from "../site/api.js";
import { clockTime } from "../site/format.js";

/** @import { Job } from "../lastevent/job.js" */

/** @type {Record<Job["state"], { word: string, tone: string }>} */
export const STATES = {
  waiting: { word: "Waiting", tone: "" },
  running: { word: "Running", tone: "accent" },
  done: { word: "Done", tone: "good" },
  failed: { word: "Failed", tone: "bad" },
  unavailable: { word: "Unavailable", tone: "bad" },
};

/** @param {number} progress a percentage */
export function percent(progress) {
  return `${Math.floor(Math.max(0, Math.min(100, progress)))} %`;
}

/** In a few words, for a list. @param {Pick<Job, "state" | "progress">} job */
export function brief({ state, progress }) {
  const { word } = STATES[state];
  return progress === null || state === "done" ? word : `${word}, ${percent(progress)}`;
}

/**
 * What a reader should be told once it is so, and as long as it is.
 *
 * @param {Readonly<Job>} job
 */
export function news(job) {
  const { state, lostAt, lostBy, error } = job;
  if (state === "done") return "The job is done.";
  if (state === "failed") return sentence(`The job failed: ${error || "its service says no more"}`);
  if (state === "unavailable") return sentence(error || "there is nothing to follow");
  if (lostAt === null) return "";
  const why = lostBy && ` (${lostBy})`;
  return `The job’s service is away since ${clockTime(lostAt)}${why}. It is tried again.`;
}

/**
 * An event as a line of the log, and what kind of line.
 *
 * @param {string} type
 * @param {Record<string, unknown>} fields
 * @returns {{ kind: "stdout" | "note" | "gap" | "failure", text: string }}
 */
export function line(type, fields) {
  const error = String(fields["error"] || "no reason was given");
  switch (type) {
    case "done":
      return { kind: "note", text: join("Done", said(fields)) };
    case "failed":
      return { kind: "failure", text: sentence(join("Failed", error)) };
    case "failure":
      return { kind: "failure", text: sentence(error) };
    case "upstream":
      return fields["state"] === "lost"
        ? { kind: "gap", text: sentence(join("The service is away", error)) }
        : { kind: "note", text: "The service is back." };
    case "gap":
      return { kind: "gap", text: `What was said ${span(fields)} may be missing here.` };
    case "update":
      return { kind: "stdout", text: join(String(fields["type"] ?? type), said(fields)) };
    default:
      return { kind: "stdout", text: said(fields) };
  }
}

/** @param {Record<string, unknown>} fields */
function said({ progress, status, message }) {
  const parts = [typeof progress === "number" ? percent(progress).padStart(5) : "", status, message];
  return parts.filter((part) => typeof part === "string" && part).join("  ");
}

/** @param {Record<string, unknown>} fields */
function span({ from, to }) {
  if (typeof from !== "number" || typeof to !== "number") return "here";
  return `from ${clockTime(from)} to ${clockTime(to)}`;
}

/** @param {string} what @param {string} more */
function join(what, more) {
  return more ? `${what}: ${more.trim()}` : what;
}
