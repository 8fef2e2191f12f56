/**
 * Something that is done again until it has succeeded: one at a time, with growing pauses after
 * failures, and an end.
 */

import { Refused } from "../site/api.js";

const FIRST = 1000;
const LONGEST = 30_000;
const ATTEMPTS = 10;

/**
 * Whether trying again may help: there was no answer, or one that says so.
 *
 * @param {unknown} error
 */
export function mayPass(error) {
  if (!(error instanceof Refused)) return true;
  return error.status === 408 || error.status === 429 || error.status >= 500;
}

/** Why, in words. @param {unknown} error */
export function words(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * What is to be done: `run` does it; `failed` hears of each failure, and whether it was the last
 * one: what it says then must no longer be wanted, or is wanted again only when poked.
 *
 * @typedef {object} Task
 * @property {() => Promise<void>} run
 * @property {(error: unknown, isLast: boolean) => void} failed
 */

export class Errand {
  #wanted;
  #running = false;
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pause;
  #isPausing = false;

  /** @param {() => Task | null} wanted what is to be done now */
  constructor(wanted) {
    this.#wanted = wanted;
  }

  /** There may be something to do. A pause goes on. */
  poke() {
    if (!this.#running && !this.#isPausing) void this.#run();
  }

  /** The network may be back: what waited waits no longer. */
  hurry() {
    clearTimeout(this.#pause);
    this.#isPausing = false;
    this.#failures = 0;
    this.poke();
  }

  async #run() {
    this.#running = true;
    for (let task; !this.#isPausing && (task = this.#wanted()); ) {
      try {
        await task.run();
        this.#failures = 0;
      } catch (error) {
        this.#fail(task, error);
      }
    }
    this.#running = false;
  }

  /**
   * @param {Task} task
   * @param {unknown} error
   */
  #fail(task, error) {
    const isLast = !mayPass(error) || this.#failures + 1 >= ATTEMPTS;
    this.#failures = isLast ? 0 : this.#failures + 1;
    task.failed(error, isLast);
    if (isLast) return;
    const ms = Math.min(FIRST * 2 ** (this.#failures - 1), LONGEST);
    this.#isPausing = true;
    this.#pause = setTimeout(() => {
      this.#isPausing = false;
      this.poke();
    }, ms);
  }
}
