/** The same stream as the browser's own EventSource follows it, to compare with. */

import { numberIn, Sequence } from "./sequence.js";

export class Native {
  sequence = new Sequence();
  /** From sending to coming, in ms. @type {number[]} */
  latencies = [];
  /** Responses that opened, planned ends and other ends among them, and refusals. */
  counts = { legs: 0, planned: 0, cuts: 0, refused: 0 };
  #url;
  #sentAt;
  /** @type {EventSource | null} */
  #source = null;
  #isOpen = false;
  #isPlanned = false;
  #cursor = "";

  /**
   * @param {string} url
   * @param {(number: number) => number | undefined} sentAt
   */
  constructor(url, sentAt) {
    this.#url = url;
    this.#sentAt = sentAt;
    this.open();
  }

  /** @returns {"connecting" | "connected" | "reconnecting" | "given up" | "closed"} */
  get state() {
    if (!this.#source) return "closed";
    const { readyState } = this.#source;
    if (readyState === EventSource.CLOSED) return "given up";
    if (readyState === EventSource.OPEN) return "connected";
    return this.counts.legs ? "reconnecting" : "connecting";
  }

  /** Follow on from where it is: the browser does not, once it has given up. */
  open() {
    this.close();
    const url = new URL(this.#url, location.href);
    if (this.#cursor) url.searchParams.set("lastEventId", this.#cursor);
    const source = (this.#source = new EventSource(url));
    source.onopen = () => {
      this.counts.legs += 1;
      this.#isOpen = true;
      this.#isPlanned = false;
    };
    source.onerror = () => {
      if (this.#isOpen) this.counts[this.#isPlanned ? "planned" : "cuts"] += 1;
      this.#isOpen = false;
      if (source.readyState === EventSource.CLOSED) this.counts.refused += 1;
    };
    source.addEventListener("number", (event) => this.#take(event));
    source.addEventListener("fault", ({ lastEventId }) => (this.#cursor = lastEventId));
    source.addEventListener("stream", ({ data, lastEventId }) => {
      if (lastEventId) this.#cursor = lastEventId;
      // All that a page can know of it: to an EventSource it is an error like any other.
      if (data.includes('"state":"rotate"')) this.#isPlanned = true;
    });
  }

  close() {
    this.#source?.close();
    this.#source = null;
    this.#isOpen = false;
  }

  /** @param {MessageEvent<string>} event */
  #take({ data, lastEventId }) {
    this.#cursor = lastEventId;
    const number = numberIn(data);
    if (number === null) return;
    this.sequence.take(number);
    const sent = this.#sentAt(number);
    if (sent !== undefined) this.latencies.push(performance.now() - sent);
  }
}
