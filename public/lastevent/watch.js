/** Time limits: for silence, and for what cannot be ended otherwise. */

/** Calls `onSilence` when nothing was heard for `limit()` ms; the limit may change meanwhile. */
export class Watch {
  #limit;
  #onSilence;
  /** @type {ReturnType<typeof setTimeout>} */
  #timer;

  /**
   * @param {() => number} limit
   * @param {() => void} onSilence
   */
  constructor(limit, onSilence) {
    this.#limit = limit;
    this.#onSilence = onSilence;
    this.#timer = setTimeout(onSilence, limit());
  }

  hear() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onSilence, this.#limit());
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
