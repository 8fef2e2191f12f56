/** Numbers of the metrics as people read them. What is not known is a dash, and never 0. */

export const NONE = "–";

/** @param {number | null | undefined} number */
export function plain(number) {
  if (number === null || number === undefined) return NONE;
  const digits = number >= 100 || Number.isInteger(number) ? 0 : number >= 10 ? 1 : 2;
  return number.toLocaleString("en", { maximumFractionDigits: digits });
}

/** @param {number | null | undefined} ms */
export function latency(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${(ms / 60_000).toFixed(1)} min`;
}

/** @param {number | null | undefined} share of one */
export function percent(share) {
  if (share === null || share === undefined) return NONE;
  return `${share > 0 && share < 0.01 ? "<1" : Math.round(share * 100)} %`;
}

/**
 * When a step of a chart begins, with month and day where there are several.
 *
 * @param {number} time in Unix ms
 * @param {boolean} withDate
 */
export function when(time, withDate) {
  const date = new Date(time);
  const clock = date.toTimeString().slice(0, 5);
  return withDate ? `${date.toLocaleDateString("en-CA").slice(5)} ${clock}` : clock;
}
