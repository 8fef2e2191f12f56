/** A time limit for silence. */

/** How often it is looked at the clock, in ms. */
const TICK = 1000;

/**
 * Calls `onSilence` once when nothing was heard for `limit()` ms; the limit may change meanwhile.
 *
 * By the wall clock: a timer stands still while the computer sleeps, or runs late in a tab that is
 * hidden.
 *
 * @param {() => number} limit
 * @param {() => void} onSilence
 */
export function watch(limit, onSilence) {
  let heard = Date.now();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const stop = () => clearTimeout(timer);
  /** Look at the clock, now and from now on. */
  const check = () => {
    stop();
    const left = limit() - (Date.now() - heard);
    if (left > 0) timer = setTimeout(check, Math.min(TICK, left));
    else onSilence();
  };
  const hear = () => {
    heard = Date.now();
  };
  check();
  return { hear, stop };
}
