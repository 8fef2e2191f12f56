/**
 * The jobs that were looked at in this browser, the last one first, with what was known of them.
 *
 * Nothing on the server lists an external service's jobs; their ids come from elsewhere, and nobody
 * wants to type one twice.
 */

/** @import { Job } from "./job.js" */

/** @typedef {{ id: string, state: Job["state"], progress: number | null }} Remembered */

const KEY = "lastevent.jobs";
const MOST = 20;
const STATES = ["waiting", "running", "done", "failed", "unavailable"];

/** @returns {Remembered[]} */
export function all() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter(isRemembered).slice(0, MOST) : [];
  } catch {
    return []; // refused by the browser, or not ours
  }
}

/**
 * Know this of a job from now on. A new one comes first; what is known keeps its place.
 *
 * @param {Remembered} job
 */
export function remember(job) {
  const kept = all();
  const place = kept.findIndex(({ id }) => id === job.id);
  const known = kept[place];
  if (!known) keep([job, ...kept]);
  else if (known.state !== job.state || known.progress !== job.progress) keep(kept.with(place, job));
}

/** @param {string} id */
export function forget(id) {
  keep(all().filter((job) => job.id !== id));
}

/** @param {Remembered[]} jobs */
function keep(jobs) {
  try {
    localStorage.setItem(KEY, JSON.stringify(jobs.slice(0, MOST)));
  } catch {
    // Refused: then they are known for as long as the page is open, by its address.
  }
}

/** @param {any} job @returns {job is Remembered} */
function isRemembered(job) {
  return (
    typeof job?.id === "string" &&
    STATES.includes(job.state) &&
    (job.progress === null || typeof job.progress === "number")
  );
}
