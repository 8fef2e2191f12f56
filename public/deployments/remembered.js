/**
 * The deployments that were published or followed in this browser, the last one first: the server
 * lists none.
 */

/** @import { State } from "./log.js" */

/** @typedef {{ id: string, name: string, state: State | null, at: number }} Remembered */

const KEY = "lastevent.deployments";
const MOST = 20;

/** What there is where the browser refuses to keep anything. @type {Remembered[]} */
let known = [];

/** @returns {Remembered[]} */
export function all() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter(isRemembered).slice(0, MOST) : [];
  } catch {
    return known;
  }
}

/**
 * Know this of a deployment from now on. A new one comes first; what is known keeps its place.
 *
 * @param {{ id: string, name?: string, state?: State | null }} deployment
 */
export function remember({ id, name, state }) {
  const kept = all();
  const place = kept.findIndex((one) => one.id === id);
  const before = kept[place] ?? { id, name: id, state: null, at: Date.now() };
  const now = { ...before, name: name ?? before.name, state: state ?? before.state };
  keep(place < 0 ? [now, ...kept] : kept.with(place, now));
}

/** @param {string} id */
export function forget(id) {
  keep(all().filter((one) => one.id !== id));
}

/** @param {Remembered[]} deployments */
function keep(deployments) {
  known = deployments.slice(0, MOST);
  try {
    localStorage.setItem(KEY, JSON.stringify(known));
  } catch {
    // Refused: they are known for as long as the page is open.
  }
}

/** @param {any} it @returns {it is Remembered} */
function isRemembered(it) {
  return (
    typeof it?.id === "string" &&
    typeof it.name === "string" &&
    typeof it.at === "number" &&
    (it.state === null || typeof it.state === "string")
  );
}
