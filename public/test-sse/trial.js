/** A trial at the server: numbers that the page publishes at a pace, faults that it asks for. */

import { Refused, request } from "../site/api.js";

/** @typedef {"end" | "cut" | "stall" | "busy" | "gone"} Fault */
/**
 * What the server has, and when (`performance.now()`).
 *
 * @typedef {{ sent: number, acknowledged: number, id: string }} Published
 */

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5000;
/** How long one number is on its way at most. */
const LIMIT = 15_000;

export class Trial {
  /** When each number was sent first. @type {Map<number, number>} */
  sent = new Map();
  /** The numbers that the server has, with their ids. @type {Map<number, Published>} */
  published = new Map();
  /** Why it publishes no more; empty while it does. */
  over = "";
  #said;
  #onChange;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * Begin one; throws Refused.
   *
   * @param {() => void} onChange hears of each number that is published, and of the end
   */
  static async begin(onChange) {
    return new Trial(await request("POST", "/api/trial"), onChange);
  }

  /**
   * @param {{ id: string, numbers: number, expires: number }} said
   * @param {() => void} onChange
   */
  constructor(said, onChange) {
    this.#said = said;
    this.#onChange = onChange;
  }

  /** @param {"page" | "native" | "replay"} reader */
  address(reader) {
    return `/api/trial/${this.#said.id}?reader=${reader}`;
  }

  /** @param {number} rate numbers a second, at most */
  run(rate) {
    void this.#publish(1, rate, performance.now());
  }

  /** @param {string} why */
  stop(why) {
    if (this.over) return;
    this.over = why;
    clearTimeout(this.#timer);
    this.#onChange();
  }

  /** Have the responses that are open misbehave; throws Refused. @param {Fault} fault */
  async ask(fault) {
    await request("POST", `/api/trial/${this.#said.id}/faults`, { fault });
  }

  /** How many numbers were published in a time. @param {number} since @param {number} until */
  between(since, until) {
    let count = 0;
    for (const { acknowledged } of this.published.values()) {
      if (acknowledged >= since && acknowledged <= until) count += 1;
    }
    return count;
  }

  /** The last number up to a cursor; 0 if none is. @param {string | null} cursor */
  numberAt(cursor) {
    let last = 0;
    // Ids of one stream have one length, and sort as text.
    for (const [number, { id }] of this.published) if (cursor && id <= cursor) last = number;
    return last;
  }

  /**
   * One after the other, so that their order is that of the stream.
   *
   * @param {number} number
   * @param {number} rate
   * @param {number} due
   * @param {number} [pause] after a failure
   */
  async #publish(number, rate, due, pause = FIRST_PAUSE) {
    if (this.over) return;
    if (number > this.#said.numbers) return this.stop("All numbers of this test are published.");
    const next = due + 1000 / rate;
    const sent = this.sent.get(number) ?? performance.now();
    this.sent.set(number, sent);
    try {
      const path = `/api/trial/${this.#said.id}/numbers`;
      // Sent again if its answer was lost: the server appends each number once.
      const { id } = await request("POST", path, { number }, {}, LIMIT);
      this.published.set(number, { sent, acknowledged: performance.now(), id });
      this.#onChange();
      const now = performance.now();
      const then = Math.max(next, now);
      this.#timer = setTimeout(() => this.#publish(number + 1, rate, then), then - now);
    } catch (error) {
      const isFinal = error instanceof Refused && error.status < 500 && error.status !== 429;
      if (isFinal || Date.now() > this.#said.expires) {
        return this.stop(error instanceof Error ? error.message : String(error));
      }
      const longer = Math.min(2 * pause, LONGEST_PAUSE);
      this.#timer = setTimeout(() => this.#publish(number, rate, performance.now(), longer), pause);
    }
  }
}
