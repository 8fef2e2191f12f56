/** How a reader wants logs shown, kept in the browser where it lets pages keep anything. */

/** @import { Times } from "./times.js" */

const NAME = "lastevent.log";
const TIMES = ["off", "relative", "absolute"];

/** @typedef {{ times: Times, wrap: boolean }} LogSettings */

/** What was chosen before; lines are wrapped on narrow screens unless that was chosen otherwise. */
export function readSettings() {
  const isNarrow = matchMedia("(width < 48rem)").matches;
  /** @type {LogSettings} */
  const settings = { times: "off", wrap: isNarrow };
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    if (TIMES.includes(kept.times)) settings.times = kept.times;
    if (typeof kept.wrap === "boolean") settings.wrap = kept.wrap;
  } catch {
    // Storage is refused, or holds something else: the defaults do.
  }
  return settings;
}

/** @param {Partial<LogSettings>} changes */
export function keepSettings(changes) {
  try {
    const kept = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    localStorage.setItem(NAME, JSON.stringify({ ...kept, ...changes }));
  } catch {
    // They hold for this visit.
  }
}
