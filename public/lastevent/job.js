/**
 * What is known of a job of an external service: the sum of its events, as docs/jobs.md has them.
 */

/**
 * `progress` is a percentage, null as long as none was told. `status` and `message` are the
 * service's own words, `error` says why it failed or why there is nothing to follow. `lostAt`:
 * since when the service is away, in Unix ms, null while it is there.
 *
 * @typedef {object} Job
 * @property {"waiting" | "running" | "done" | "failed" | "unavailable"} state
 * @property {number | null} progress
 * @property {string} status
 * @property {string} message
 * @property {string} error
 * @property {unknown} details
 * @property {unknown} result
 * @property {number | null} lostAt
 * @property {string} lostBy
 * @property {number} gaps
 */

/** Nothing was heard of it yet. @type {Readonly<Job>} */
export const UNHEARD = Object.freeze({
  state: "waiting",
  progress: null,
  status: "",
  message: "",
  error: "",
  details: undefined,
  result: undefined,
  lostAt: null,
  lostBy: "",
  gaps: 0,
});

/** Nothing follows these. */
const LAST = ["done", "failed", "unavailable"];

/** @param {Readonly<Job>} job */
export function isOver({ state }) {
  return LAST.includes(state);
}

/**
 * What is known after one more event. What is of no known type changes nothing.
 *
 * @param {Readonly<Job>} job
 * @param {string} type
 * @param {Record<string, unknown>} fields
 * @returns {Readonly<Job>}
 */
export function after(job, type, fields) {
  switch (type) {
    case "progress":
    case "update":
      return Object.freeze({ ...job, ...said(job, fields), state: "running" });
    case "done":
      return back({ ...job, ...said(job, fields), state: "done", result: fields["result"] });
    case "failed":
      return back({ ...job, ...said(job, fields), state: "failed", error: text(fields["error"]) });
    case "failure":
      return back({ ...job, state: "unavailable", error: text(fields["error"]) });
    case "upstream":
      return fields["state"] === "lost"
        ? Object.freeze({ ...job, lostAt: time(fields["time"]), lostBy: text(fields["error"]) })
        : back(job);
    case "gap":
      return Object.freeze({ ...job, gaps: job.gaps + 1 });
    default:
      return job;
  }
}

/**
 * The fields that a message renews; what it leaves out stays as it was.
 *
 * @param {Readonly<Job>} job
 * @param {Record<string, unknown>} fields
 */
function said(job, { progress, status, message, data }) {
  return {
    progress: typeof progress === "number" ? progress : job.progress,
    status: text(status) || job.status,
    message: text(message) || job.message,
    details: data ?? job.details,
  };
}

/** No longer away. @param {Job} job @returns {Readonly<Job>} */
function back(job) {
  return Object.freeze({ ...job, lostAt: null, lostBy: "" });
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : "";
}

/** @param {unknown} value */
function time(value) {
  return typeof value === "number" ? value : Date.now();
}
