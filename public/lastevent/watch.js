/** Time limits: for silence, and for what cannot be ended otherwise. */

/** How often it is looked at the clock, in ms. */
const TICK = 1000;

/**
 * Calls `onSilence` once when nothing was heard for `limit()` ms; the limit may change meanwhile.
 *
 * By the wall clock: a timer stands still while the computer sleeps, or runs late in a tab that is
 * hidden.
 */
export class Watch {
  #limit;
  #onSilence;
  #heard = Date.now();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {() => number} limit
   * @param {() => void} onSilence
   */
  constructor(limit, onSilence) {
    this.#limit = limit;
    this.#onSilence = onSilence;
    this.check();
  }

  hear() {
    this.#heard = Date.now();
  }

  /** Look at the clock, now and from now on. */
  check() {
    this.stop();
    const left = this.#limit() - (Date.now() - this.#heard);
    if (left > 0) this.#timer = setTimeout(() => this.check(), Math.min(TICK, left));
    else this.#onSilence();
  }

  stop() {
    clearTimeout(this.#timer);
  }
}

/**
 * `promise`, or the signal's reason once that is aborted.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} signal
 * @returns {Promise<T>}
 */
export function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}
