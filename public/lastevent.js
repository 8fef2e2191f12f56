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
 * The follower decides; this module carries it out: requests, time limits, pauses, and polls while
 * no stream gets through. It needs fetch and runs in browsers and in Node.
 */

import { Follower } from "./lastevent/follower.js";
import { watchPage } from "./lastevent/page.js";
import { polling } from "./lastevent/polling.js";
import { serverSentEvents } from "./lastevent/sse.js";
import { TooLarge } from "./lastevent/transport.js";
import { unlessAborted, Watch } from "./lastevent/watch.js";

/** @import { Message, Opening, Reset, Strategy, StreamEvent } from "./lastevent/follower.js" */
/** @import { Answer, Transport } from "./lastevent/transport.js" */

/**
 * What a stream is doing. A planned pause between two legs is still `connected`. While
 * `reconnecting`, `seconds` is the pause before the attempt, 0 while the attempt is under way. While
 * `polling`, events come by polls, and `seconds` are until the next attempt; `reason` says why no
 * stream gets through, and is empty where none is wanted.
 *
 * @typedef {{ name: "connecting" }
 *   | { name: "connected" }
 *   | { name: "reconnecting", attempt: number, of: number, seconds: number, reason: string }
 *   | { name: "polling", seconds: number, reason: string }
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
 * @property {Strategy} [strategy] how soon to come back after failures
 * @property {number} [poll] ms between the polls that stand in for a stream that does not get
 *   through; 0: there are none
 * @property {boolean} [realtime] false: no stream is tried, and polls are all there is
 * @property {(event: StreamEvent) => void} [onEvent] hears of each event, once
 * @property {(state: State) => void} [onState] hears of each change
 * @property {(reset: Reset) => void} [onReset] hears of lost events. Without it a loss ends in
 *   `disconnected`, and `reconnect()` goes on behind the gap: no loss is silent
 * @property {(opening: Opening) => void} [onOpen] hears of each leg that opens
 * @property {typeof fetch} [fetch] used in the place of the global one
 * @property {Transport} [transport] used in the place of Server-Sent Events
 */

/**
 * What follows a leg if the stream goes on: a pause of so many ms, 0 for none. `told` is the state
 * meanwhile, where it is another; what happens to the page may end it after `least` ms.
 *
 * @typedef {{ ms: number, told?: State, least?: number }} Pause
 */

const ATTEMPTS = 10;
const POLL = 30_000;
/** Failures in a row after which polls stand in: what passes by itself is over by then. */
const POLL_AFTER = 3;
/** The server's heartbeat in ms, as long as it has not named it. */
const HEARTBEAT = 15_000;
/** Heartbeats' worth of silence after which a connection counts as dead. */
const WATCH_BEATS = 2;
/** How much longer than it is held a whole answer may take, in ms: functions start cold. */
const HOLD_MARGIN = 15_000;
/** How long a failure keeps away at least, whatever happens to the page. */
const LEAST = 1000;
const LOST = "events were lost; what follows them is still there";
const CUT = "the connection was cut";
const UNREACHABLE = "the server cannot be reached";
const SILENT = "nothing was heard for two heartbeats";

/** One stream, or several in one URL, or anything else that serves legs. It starts at once. */
export class Stream {
  /** @type {State} */
  state = { name: "connecting" };
  /** Legs that opened, how many of them ended as planned and were cut; and polls answered. */
  counts = { legs: 0, plannedEnds: 0, cuts: 0, polls: 0 };
  #url;
  #options;
  #stream;
  #poll;
  #follower;
  #closed = false;
  #running = false;
  #opened = false;
  /** @type {string | null} */
  #token = null;
  /** The token was refused, and has been had anew. */
  #renewed = false;
  #lost = false;
  #gaveUp = false;
  /** Whether the last poll was answered, and when it began. */
  #polls = false;
  #polledAt = -Infinity;
  /** The page was left: nothing is asked for until it is shown again. */
  #away = false;
  #abort = new AbortController();
  /** @type {Watch | null} */
  #watch = null;
  #endPause = () => {};
  /** When the page may end the pause. */
  #until = Infinity;
  #forgetPage;

  /**
   * @param {string | URL} url
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    this.#url = address(url, options);
    this.#options = options;
    const fetcher = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#stream = options.transport ?? serverSentEvents(fetcher);
    this.#poll = polling(fetcher);
    const { cursor = null, attempts = ATTEMPTS, strategy } = options;
    this.#follower = new Follower(cursor, HEARTBEAT, attempts, strategy);
    this.#forgetPage = watchPage({
      onBack: () => this.#back(),
      onLeave: () => this.#leave(),
      onReturn: () => this.#return(),
    });
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
    const { name } = this.state;
    if (name === "reconnecting" || name === "polling") this.#endPause();
    if (name === "disconnected" || name === "denied") {
      this.#follower.failures = 0;
      this.#renewed = this.#polls = false;
      this.#start();
    }
  }

  /** End it for good. Nothing is called afterwards. */
  close() {
    this.#closed = true;
    this.state = { name: "disconnected", reason: "closed" };
    this.#forgetPage();
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
      const next = await this.#next();
      if (this.#closed) return;
      if ("name" in next) {
        this.#running = false; // before it is told: who hears of it may call reconnect
        this.#tell(next);
        return;
      }
      await this.#stayAway(next);
    }
  }

  /** Ask once more, and say what follows. @returns {Promise<State | Pause>} */
  async #next() {
    if (this.#away) return { ms: Infinity };
    return this.#options.realtime === false ? this.#pollOnly() : this.#follow();
  }

  /** Run a leg; where it fails too often, poll too. @returns {Promise<State | Pause>} */
  async #follow() {
    const outcome = await this.#leg(this.#stream, true);
    if (this.#away) return { ms: 0 };
    const follower = this.#follower;
    const isPlanned = follower.over === "rotate";
    if (isPlanned) this.counts.plannedEnds += 1;
    else if (this.#opened && follower.over !== "end") this.counts.cuts += 1;
    const verdict = this.#verdict(outcome);
    if (verdict) return verdict;
    const least = asked(outcome);
    const ms = follower.pause(performance.now(), Math.random(), least);
    if (isPlanned) return { ms: ms ?? 0 };
    const reason = this.#why(outcome);
    if (this.#isToPoll(ms)) {
      const verdict = this.#verdict(await this.#polled());
      if (verdict) return verdict;
    }
    if (this.#polls) return this.#polling(ms ?? this.#every, reason, least);
    return this.#failed(ms, reason, least);
  }

  /** Poll, and nothing else. @returns {Promise<State | Pause>} */
  async #pollOnly() {
    const outcome = await this.#polled();
    if (this.#away) return { ms: 0 };
    const verdict = this.#verdict(outcome);
    if (verdict) return verdict;
    const least = asked(outcome);
    if (this.#polls) {
      this.#follower.failures = 0;
      return this.#polling(this.#every, "", least);
    }
    const ms = this.#follower.pause(performance.now(), Math.random(), least);
    return this.#failed(ms, this.#why(outcome), least);
  }

  get #every() {
    return this.#options.poll || POLL;
  }

  /** @param {number | null} ms the pause before the next attempt, null if there is to be none */
  #isToPoll(ms) {
    if (this.#options.poll === 0 || this.#closed) return false;
    if (ms !== null && this.#follower.failures < POLL_AFTER) return false;
    return Date.now() - this.#polledAt >= this.#every - LEAST;
  }

  async #polled() {
    this.#polledAt = Date.now();
    const outcome = await this.#leg(this.#poll, false);
    this.#polls = !(outcome instanceof Error) && outcome.status === 200;
    if (this.#polls) this.counts.polls += 1;
    return outcome;
  }

  /**
   * @param {number} ms
   * @param {string} reason
   * @param {number} least
   * @returns {Pause}
   */
  #polling(ms, reason, least) {
    return { ms, least, told: { name: "polling", seconds: ms / 1000, reason } };
  }

  /**
   * @param {number | null} ms
   * @param {string} reason
   * @param {number} least
   * @returns {State | Pause}
   */
  #failed(ms, reason, least) {
    this.#gaveUp = ms === null;
    if (ms === null) return { name: "disconnected", reason: `gave up: ${reason}` };
    const attempt = Math.max(this.#follower.failures, 1);
    const of = this.#options.attempts ?? ATTEMPTS;
    return { ms, least, told: { name: "reconnecting", attempt, of, seconds: ms / 1000, reason } };
  }

  /**
   * Run one leg.
   *
   * @param {Transport} transport
   * @param {boolean} connects whether the stream is connected once the leg has opened
   * @returns {Promise<Answer | Error>} how it was answered, or what broke it
   */
  async #leg(transport, connects) {
    const follower = this.#follower;
    follower.begin(performance.now());
    this.#opened = this.#lost = false;
    const { signal } = (this.#abort = new AbortController());
    const watch = new Watch(
      // A whole answer is silent for as long as it is held.
      () => Math.max(WATCH_BEATS * follower.heartbeat, follower.hold && follower.hold + HOLD_MARGIN),
      () => this.#abort.abort(new Error(SILENT)),
    );
    this.#watch = watch;
    try {
      const token = await unlessAborted(this.#bearer(), signal);
      return await transport({
        url: this.#url,
        cursor: this.cursor,
        token,
        signal,
        onBytes: () => watch.hear(),
        onMessage: (message) => this.#take(message, connects),
        isOver: () => follower.over !== null || this.#lost,
      });
    } catch (error) {
      const cause = signal.aborted ? signal.reason : error;
      return cause instanceof Error ? cause : new Error(String(cause));
    } finally {
      watch.stop();
      this.#watch = null;
    }
  }

  async #bearer() {
    const { token } = this.#options;
    if (typeof token !== "function") return token ?? null;
    return (this.#token ??= await token());
  }

  /**
   * @param {Message} message
   * @param {boolean} connects
   */
  #take(message, connects) {
    if (this.#closed || this.#lost || this.#follower.over !== null) return;
    if (connects && !this.#opened) {
      this.#opened = true;
      this.#polls = false;
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
   * The state in which a leg ends the stream, or a pause of none for a token that is had anew; null
   * for neither.
   *
   * @param {Answer | Error} outcome
   * @returns {State | Pause | null}
   */
  #verdict(outcome) {
    const { over, hasProven } = this.#follower;
    if (hasProven) this.#renewed = false;
    if (this.#lost) return { name: "disconnected", reason: LOST };
    if (over === "end") return { name: "ended" };
    if (over === "denied") return this.#refused("the token has expired");
    if (outcome instanceof TooLarge) return { name: "disconnected", reason: outcome.message };
    if (outcome instanceof Error) return null;
    const { status, detail } = outcome;
    if (status === 204) return { name: "ended" };
    if (status === 401) return this.#refused(detail);
    if (status === 403) return { name: "denied", reason: detail };
    if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
      return { name: "disconnected", reason: detail };
    }
    return null;
  }

  /**
   * A token that can be had anew is, once: a fresh one that is refused too is refused for good.
   *
   * @param {string} reason
   * @returns {State | Pause}
   */
  #refused(reason) {
    if (typeof this.#options.token !== "function" || this.#renewed) {
      return { name: "denied", reason };
    }
    this.#token = null;
    this.#renewed = true;
    return { ms: 0 };
  }

  /** Why a leg was no success. @param {Answer | Error} outcome */
  #why(outcome) {
    if (this.#follower.over === "error") return "the server has trouble with its store";
    if (!(outcome instanceof Error)) return outcome.detail || CUT;
    // What fetch says of a connection differs from browser to browser, and tells nobody anything.
    if (outcome instanceof TypeError) return this.#opened ? CUT : UNREACHABLE;
    return outcome.message;
  }

  /** @param {Pause} pause */
  async #stayAway({ ms, told, least }) {
    if (told) this.#tell(told);
    this.#until = told ? Date.now() + Math.max(least ?? 0, LEAST) : Infinity;
    await new Promise((resolve) => {
      const timer = ms < Infinity ? setTimeout(resolve, ms) : undefined;
      this.#endPause = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    if (told?.name === "reconnecting") this.#tell({ ...told, seconds: 0 });
  }

  // The page.

  /** It is seen again, or the network is back: look at what time it is, and lose none. */
  #back() {
    this.#watch?.check();
    if (Date.now() >= this.#until) this.#endPause();
    if (this.#gaveUp && this.state.name === "disconnected") this.reconnect();
  }

  #leave() {
    this.#away = true;
    this.#abort.abort(new Error("the page was left"));
  }

  #return() {
    if (!this.#away) return;
    this.#away = false;
    this.#endPause();
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

/** How long a refusal asks to stay away, in ms. @param {Answer | Error} outcome */
function asked(outcome) {
  return outcome instanceof Error ? 0 : outcome.retryAfter;
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
