/** When a line was said, as its reader wants to see it. */

/** @typedef {"off" | "relative" | "absolute"} Times */

/**
 * @param {Times} times
 * @param {number | null} time in Unix ms
 * @param {number | null} began when the log did
 */
export function timeLabel(times, time, began) {
  if (times === "off" || time === null) return "";
  return times === "absolute" ? clock(time) : since(time - (began ?? time));
}

/** `HH:MM:SS.mmm`, where the reader is. @param {number} time */
function clock(time) {
  return `${new Date(time).toTimeString().slice(0, 8)}.${pad(time % 1000, 3)}`;
}

/** `+M:SS.mmm`, with hours where there are some. @param {number} ms */
function since(ms) {
  const sign = ms < 0 ? "-" : "+";
  const whole = Math.abs(ms);
  const seconds = `${pad(Math.floor(whole / 1000) % 60, 2)}.${pad(whole % 1000, 3)}`;
  const minutes = Math.floor(whole / 60_000);
  if (minutes < 60) return `${sign}${minutes}:${seconds}`;
  return `${sign}${Math.floor(minutes / 60)}:${pad(minutes % 60, 2)}:${seconds}`;
}

/**
 * @param {number} value
 * @param {number} digits
 */
function pad(value, digits) {
  return String(Math.floor(value)).padStart(digits, "0");
}
