/** One test, from Start to Stop: who follows the trial, and what they made of it. */

import { follow } from "../site/live.js";
import { Native } from "./native.js";
import { numberIn, Sequence } from "./sequence.js";
import { Wire } from "./wire.js";

/** @import { State } from "../lastevent.js" */
/** @import { Asked, Outcome } from "./faults.js" */
/** @import { Facts } from "./findings.js" */
/** @import { Trial } from "./trial.js" */
/** @import { RawEvent } from "./wire.js" */

/**
 * What a page hears of a test.
 *
 * @typedef {object} Ears
 * @property {(event: RawEvent) => void} onRaw
 * @property {(state: State) => void} onState
 * @property {() => void} onBeat
 */

/** As the browser has it of the last response of any test. */
let protocol = "";

export class Test {
  /** Numbers that the page was given, and those that came over the wire. */
  came = new Sequence();
  raw = new Sequence();
  /** From sending to coming, in ms. @type {number[]} */
  latencies = [];
  /** @type {Outcome[]} */
  outcomes = [];
  /** What is asked for, until it is seen. @type {Asked | null} */
  asked = null;
  began = Date.now();
  /** In Unix ms; 0: it runs. */
  ended = 0;
  resets = 0;
  #ears;
  /** Polls of streams before the present one. */
  #polls = 0;

  /**
   * @param {Trial} trial
   * @param {Ears} ears
   */
  constructor(trial, ears) {
    this.trial = trial;
    this.#ears = ears;
    this.wire = new Wire(
      (event) => this.#hear(event),
      (data) => trial.sent.get(numberIn(data) ?? 0) ?? null,
    );
    this.stream = this.#follow(null);
    this.native = new Native(trial.address("native"), (number) => trial.sent.get(number));
  }

  /** @returns {Facts} */
  get facts() {
    const { trial, wire, came, raw, latencies, native, resets } = this;
    const polls = this.#polls + this.stream.counts.polls;
    const now = this.ended ? this.ended - performance.timeOrigin : performance.now();
    return { now, trial, wire, came, raw, latencies, native, resets, polls, protocol };
  }

  /** Whether a response is open, and has sent all that there was. */
  get isLive() {
    const { leg } = this.wire;
    return leg !== null && leg.live !== null && leg.end === null;
  }

  /** Follow on after the server said that it is over. */
  goOn() {
    this.#polls += this.stream.counts.polls;
    const { cursor } = this.stream;
    this.stream.close();
    this.stream = this.#follow(cursor);
  }

  end() {
    this.ended = Date.now();
    this.stream.close();
    this.native.close();
  }

  /** @param {string | null} cursor */
  #follow(cursor) {
    const { onState, onBeat } = this.#ears;
    return follow(this.trial.address("page"), {
      // It is the stream that is to be tested, whatever its reader prefers.
      realtime: true,
      fetch: this.wire.fetch,
      ...(cursor !== null && { cursor }),
      onEvent: ({ type, data }) => {
        const number = type === "number" ? numberIn(data) : null;
        if (number !== null) this.came.take(number);
      },
      onReset: () => (this.resets += 1),
      ...{ onState, onBeat },
    });
  }

  /** @param {RawEvent} event */
  #hear(event) {
    this.#ears.onRaw(event);
    const number = event.type === "number" ? numberIn(event.data) : null;
    if (number === null) return;
    this.raw.take(number);
    const sent = this.trial.sent.get(number);
    if (sent !== undefined) this.latencies.push(event.at - sent);
  }
}

new PerformanceObserver((entries) => {
  for (const entry of entries.getEntries()) {
    if (!(entry instanceof PerformanceResourceTiming)) continue;
    if (entry.name.includes("/api/trial")) protocol = entry.nextHopProtocol || protocol;
  }
}).observe({ type: "resource" });
