/**
 * A stream that does not end, over responses that do.
 *
 *     import { Stream } from "/lastevent.js";
 *
 *     const stream = new Stream("/api/streams/build:42", {
 *       onEvent: (event) => console.log(event.type, event.json()),
 *       onReset: () => console.warn("some events are lost"),
 *       onState: (state) => console.log(state.name),
 *     });
 *
 * The follower decides; this module carries it out: requests, time limits, pauses. It needs fetch
 * and runs in browsers and in Node.
 */

import { Follower } from "./lastevent/follower.js";
import { serverSentEvents, TooLarge } from "./lastevent/sse.js";
import { unlessAborted, Watch } from "./lastevent/watch.js";

/** @import { Message, Opening, Reset, StreamEvent } from "./lastevent/follower.js" */
/** @import { Answer, Transport } from "./lastevent/sse.js" */

/**
 * What a stream is doing. A planned pause between two legs is still `connected`. While
 * `reconnecting`, `seconds` is the pause before the attempt, 0 while the attempt is under way.
 *
 * @typedef {{ name: "connecting" }
 *   | { name: "connected" }
 *   | { name: "reconnecting", attempt: number, of: number, seconds: number, reason: string }
 *   | { name: "disconnected", reason: string }
 *   | { name: "ended" }
 *   | { name: "denied", reason: string }} State
 */

/**
 * @typedef {object} Options
 * @property {string} [start] where to begin without a cursor: `start`, `now` or `last:N`; left out,
 *   where the server thinks best
 * @property {string} [cursor] an id to go on after
 * @property {string | (() => string | Promise<string>)} [token] sent as a bearer token; a function
 *   is called for a first one, and for a fresh one when that has expired
 * @property {string[]} [types] the event types wanted; all if left out
 * @property {number} [attempts] failures in a row before giving up
 * @property {(event: StreamEvent) => void} [onEvent] hears of each event, once
 * @property {(state: State) => void} [onState] hears of each change
 * @property {(reset: Reset) => void} [onReset] hears of lost events. Without it a loss ends in
 *   `disconnected`, and `reconnect()` goes on behind the gap: no loss is silent
 * @property {(opening: Opening) => void} [onOpen] hears of each leg that opens
 * @property {typeof fetch} [fetch] used in the place of the global one
 * @property {Transport} [transport] used in the place of Server-Sent Events
 */

const ATTEMPTS = 10;
/** The server's heartbeat in ms, as long as it has not named it. */
const HEARTBEAT = 15_000;
/** Heartbeats' worth of silence after which a connection counts as dead. */
const WATCH_BEATS = 2;
/** How much longer than it is held a whole answer may take, in ms: functions start cold. */
const HOLD_MARGIN = 15_000;
const LOST = "events were lost; what follows them is still there";
const CUT = "the connection was cut";
const UNREACHABLE = "the server cannot be reached";
const SILENT = "nothing was heard for two heartbeats";

/** One stream, or several in one URL, or anything else that serves legs. It starts at once. */
export class Stream {
  /** @type {State} */
  state = { name: "connecting" };
  /** Legs that opened, how many of them ended as planned and were cut. */
  counts = { legs: 0, plannedEnds: 0, cuts: 0 };
  #url;
  #options;
  #transport;
  #follower;
  #closed = false;
  #running = false;
  #opened = false;
  /** @type {string | null} */
  #token = null;
  /** The token was refused, and has been, or is to be, had anew. */
  #renewed = false;
  #renewing = false;
  #lost = false;
  #abort = new AbortController();
  #endPause = () => {};

  /**
   * @param {string | URL} url
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    this.#url = address(url, options);
    this.#options = options;
    const fetcher = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#transport = options.transport ?? serverSentEvents(fetcher);
    const attempts = options.attempts ?? ATTEMPTS;
    this.#follower = new Follower(options.cursor ?? null, HEARTBEAT, attempts);
    // Not before the caller holds the stream that its callbacks may speak of.
    queueMicrotask(() => this.#start());
  }

  /** The last id reached, of control events too; null before the first. */
  get cursor() {
    return this.#follower.position.text;
  }

  /** Events that came twice and were dropped. */
  get repeated() {
    return this.#follower.repeated;
  }

  /** Try at once: end the pause after a failure, or begin again where it was given up. */
  reconnect() {
    if (this.state.name === "reconnecting") this.#endPause();
    if (this.state.name === "disconnected" || this.state.name === "denied") {
      this.#follower.failures = 0;
      this.#renewed = false;
      this.#start();
    }
  }

  /** End it for good. Nothing is called afterwards. */
  close() {
    this.#closed = true;
    this.state = { name: "disconnected", reason: "closed" };
    this.#abort.abort();
    this.#endPause();
  }

  #start() {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#tell({ name: "connecting" });
    void this.#run();
  }

  async #run() {
    while (!this.#closed) {
      const outcome = await this.#leg();
      if (this.#closed) return;
      const next = this.#judge(outcome);
      if (typeof next !== "number") {
        this.#running = false; // before it is told: who hears of it may call reconnect
        this.#tell(next);
        return;
      }
      await this.#stayAway(next, outcome);
    }
  }

  /** Run one leg. @returns {Promise<Answer | Error>} how it was answered, or what broke it */
  async #leg() {
    const follower = this.#follower;
    follower.begin(performance.now());
    this.#opened = this.#lost = false;
    const { signal } = (this.#abort = new AbortController());
    const watch = new Watch(
      // A whole answer is silent for as long as it is held.
      () => Math.max(WATCH_BEATS * follower.heartbeat, follower.hold && follower.hold + HOLD_MARGIN),
      () => this.#abort.abort(new Error(SILENT)),
    );
    try {
      const token = await unlessAborted(this.#bearer(), signal);
      return await this.#transport({
        url: this.#url,
        cursor: this.cursor,
        token,
        signal,
        onBytes: () => watch.hear(),
        onMessage: (message) => this.#take(message),
        isOver: () => follower.over !== null || this.#lost,
      });
    } catch (error) {
      const cause = signal.aborted ? signal.reason : error;
      return cause instanceof Error ? cause : new Error(String(cause));
    } finally {
      watch.stop();
    }
  }

  async #bearer() {
    const { token } = this.#options;
    if (typeof token !== "function") return token ?? null;
    return (this.#token ??= await token());
  }

  /** @param {Message} message */
  #take(message) {
    if (this.#closed || this.#lost || this.#follower.over !== null) return;
    if (!this.#opened) {
      this.#opened = true;
      this.counts.legs += 1;
      if (this.state.name !== "connected") this.#tell({ name: "connected" });
    }
    const taken = this.#follower.take(message);
    if (taken === null) return;
    if ("event" in taken) this.#call(this.#options.onEvent, taken.event);
    else if ("reset" in taken) this.#lose(taken.reset);
    else {
      this.#call(this.#options.onOpen, taken.opening);
      if (taken.opening.trimmed) this.#lose({ from: null, to: this.cursor ?? "" });
    }
  }

  /** @param {Reset} reset */
  #lose(reset) {
    this.#lost = this.#options.onReset === undefined;
    this.#call(this.#options.onReset, reset);
  }

  /**
   * What follows a leg: the state in which the stream ends, or the pause in ms before the next.
   *
   * @param {Answer | Error} outcome
   * @returns {State | number}
   */
  #judge(outcome) {
    const { over, hasProven } = this.#follower;
    if (hasProven) this.#renewed = false;
    if (over === "rotate") this.counts.plannedEnds += 1;
    else if (this.#opened && over !== "end") this.counts.cuts += 1;
    if (this.#lost) return { name: "disconnected", reason: LOST };
    if (over === "end") return { name: "ended" };
    if (over === "denied") return this.#refused("the token has expired");
    if (outcome instanceof TooLarge) return { name: "disconnected", reason: outcome.message };
    if (outcome instanceof Error) return this.#pause(0, this.#why(outcome));
    const { status, detail, retryAfter } = outcome;
    if (status === 204) return { name: "ended" };
    if (status === 401) return this.#refused(detail);
    if (status === 403) return { name: "denied", reason: detail };
    if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
      return { name: "disconnected", reason: detail };
    }
    return this.#pause(retryAfter, this.#why(outcome));
  }

  /**
   * A token that can be had anew is, once: a fresh one that is refused too is refused for good.
   *
   * @param {string} reason
   * @returns {State | number}
   */
  #refused(reason) {
    if (typeof this.#options.token !== "function" || this.#renewed) {
      return { name: "denied", reason };
    }
    this.#token = null;
    this.#renewed = this.#renewing = true;
    return 0;
  }

  /**
   * @param {number} atLeast
   * @param {string} reason
   * @returns {State | number}
   */
  #pause(atLeast, reason) {
    const pause = this.#follower.pause(performance.now(), Math.random(), atLeast);
    return pause ?? { name: "disconnected", reason: `gave up: ${reason}` };
  }

  /** Why a leg was no success. @param {Answer | Error} outcome */
  #why(outcome) {
    if (this.#follower.over === "error") return "the server has trouble with its store";
    if (!(outcome instanceof Error)) return outcome.detail || CUT;
    // What fetch says of a connection differs from browser to browser, and tells nobody anything.
    if (outcome instanceof TypeError) return this.#opened ? CUT : UNREACHABLE;
    return outcome.message;
  }

  /**
   * @param {number} pause
   * @param {Answer | Error} outcome
   */
  async #stayAway(pause, outcome) {
    if (this.#follower.over === "rotate" || this.#renewing) {
      this.#renewing = false;
      await this.#wait(pause);
      return;
    }
    const attempt = Math.max(this.#follower.failures, 1);
    const of = this.#options.attempts ?? ATTEMPTS;
    const reason = this.#why(outcome);
    this.#tell({ name: "reconnecting", attempt, of, seconds: pause / 1000, reason });
    await this.#wait(pause);
    this.#tell({ name: "reconnecting", attempt, of, seconds: 0, reason });
  }

  /** @param {number} pause */
  #wait(pause) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }

  /** @param {State} state */
  #tell(state) {
    if (this.#closed) return;
    this.state = state;
    this.#call(this.#options.onState, state);
  }

  /**
   * Call back. What a callback throws is its own defect, and must not be taken for the stream's.
   *
   * @template T
   * @param {((value: T) => void) | undefined} callback
   * @param {T} value
   */
  #call(callback, value) {
    try {
      callback?.(value);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/**
 * The address of the legs, in full.
 *
 * @param {string | URL} url
 * @param {Options} options
 */
function address(url, { start, types }) {
  const full = new URL(url, globalThis.location?.href);
  if (start !== undefined) full.searchParams.set("from", start);
  if (types !== undefined) full.searchParams.set("types", types.join(","));
  return full.href;
}
