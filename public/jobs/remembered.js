/** The jobs that were looked at in this browser, with what was known of them. */

import { Remembered } from "../site/remembered.js";

/** @import { Job } from "../lastevent/job.js" */

/** @typedef {{ id: string, state: Job["state"], progress: number | null }} Known */

const STATES = ["waiting", "running", "done", "failed", "unavailable"];

/** @type {Remembered<Known>} */
export const remembered = new Remembered(
  "lastevent.jobs",
  (job) =>
    typeof job?.id === "string" &&
    STATES.includes(job.state) &&
    (job.progress === null || typeof job.progress === "number"),
);
