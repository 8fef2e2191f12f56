/** Whose turn it is among the tabs: one holds a lock (Web Locks), the others wait in a queue. */

/**
 * What a tab hears of its turn.
 *
 * @typedef {object} Turns
 * @property {() => void} onTurn the lock is ours
 * @property {() => void} onTaken another tab took it from us; we wait again
 * @property {() => void} onRefused the browser gives this page no locks
 */

export class Turn {
  #name;
  #turns;
  /** Ends the waiting, and the holding. @type {AbortController | null} */
  #queued = null;

  /**
   * @param {string} name
   * @param {Turns} turns
   */
  constructor(name, turns) {
    this.#name = name;
    this.#turns = turns;
  }

  /** Wait in the queue; the browser gives on the lock of a tab that is closed or crashes. */
  wait() {
    this.#queue(false);
  }

  /** Take it from whoever holds it. */
  take() {
    this.#queue(true);
  }

  /** Wait no more, and let go. */
  end() {
    this.#queued?.abort();
    this.#queued = null;
  }

  /** @param {boolean} steal */
  #queue(steal) {
    this.end();
    const { signal } = (this.#queued = new AbortController());
    const hold = async () => {
      if (signal.aborted) return;
      this.#turns.onTurn();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    // The two options exclude each other.
    const options = steal ? { steal } : { signal };
    navigator.locks.request(this.#name, options, hold).catch((error) => {
      if (signal.aborted) return;
      if (error?.name !== "AbortError") return this.#turns.onRefused();
      this.wait();
      this.#turns.onTaken();
    });
  }
}
