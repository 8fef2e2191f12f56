/** Counts and times as people read them. */

/**
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} time in Unix ms */
export function clockTime(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  const clock = date.toTimeString().slice(0, 8);
  return today ? clock : `${date.toLocaleDateString("en-CA")} ${clock}`;
}

/**
 * How long ago a time was, in one unit.
 *
 * @param {number} time in Unix ms
 * @param {number} now in Unix ms
 */
export function ago(time, now) {
  const seconds = Math.max(0, Math.floor((now - time) / 1000));
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ago` : `${Math.floor(hours / 24)} days ago`;
}
