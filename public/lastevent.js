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

import { call } from "./lastevent/call.js";
import { Follower } from "./lastevent/follower.js";
import { watchPage } from "./lastevent/page.js";
import { polling } from "./lastevent/polling.js";
import { serverSentEvents } from "./lastevent/sse.js";
import { TooLarge } from "./lastevent/transport.js";
import { watch } from "./lastevent/watch.js";

/** @import { Message, Opening, Reset, Strategy, StreamEvent } from "./lastevent/follower.js" */
/** @import { Answer, Transport } from "./lastevent/transport.js" */

/**
 * What a stream is doing. A planned pause between two legs is still `connected`. While
 * `reconnecting`, `seconds` is the pause before the attempt, 0 while that is under way. While
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
 * @property {(time: number | null) => void} [onBeat] hears of each heartbeat, with the server's
 *   time in Unix ms, null where it says none
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
/** The status of what is too large for us: asking again is no use. */
const TOO_LARGE = 413;
const LOST = "events were lost";
const EXPIRED = "the token has expired";
const TROUBLE = "the server has trouble";
const CUT = "the connection was cut";
const UNREACHABLE = "the server cannot be reached";
const SILENT = "nothing was heard for two heartbeats";

/** One stream, or several in one URL, or anything else that serves legs. It starts at once. */
export class Stream {
  /** @type {State} */
  state = { name: "connecting" };
  /** Legs that opened, how many of them ended as planned and were cut; and polls answered. */
  counts = { legs: 0, plannedEnds: 0, cuts: 0, polls: 0 };
  /** Until when the server asked to stay away, in Unix ms. */
  notBefore = 0;
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
  /** The page was left: nothing is asked for until it is back. */
  #away = false;
  #abort = new AbortController();
  /** @type {ReturnType<typeof watch> | null} */
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
    this.#forgetPage = watchPage(
      () => this.#back(),
      () => {
        this.#away = true;
        this.#abort.abort(new Error("the page was left"));
      },
    );
    // Not before the caller holds the stream that its callbacks may speak of.
    queueMicrotask(() => this.#start());
  }

  /** The last id reached, of control events too; null before the first. */
  get cursor() {
    return this.#follower.position;
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

  async #start() {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#tell({ name: "connecting" });
    while (!this.#closed) {
      const next = await this.#next();
      if (!("name" in next)) await this.#stayAway(next);
      else {
        this.#running = false; // before it is told: who hears of it may call reconnect
        return this.#tell(next);
      }
    }
  }

  /** Run a leg; where that fails too often, poll too. @returns {Promise<State | Pause>} */
  async #next() {
    const follower = this.#follower;
    const { realtime = true, attempts = ATTEMPTS, poll = POLL } = this.#options;
    const every = poll || POLL;
    if (this.#away) return { ms: Infinity };
    const answer = await (realtime ? this.#leg(this.#stream, true) : this.#polled());
    if (this.#away) return { ms: 0 };
    const isPlanned = follower.over === "rotate";
    if (isPlanned) this.counts.plannedEnds += 1;
    else if (this.#opened && follower.over !== "end") this.counts.cuts += 1;
    const verdict = this.#verdict(answer);
    if (verdict) return verdict;
    const isWell = !realtime && this.#polls;
    if (isWell) follower.failures = 0;
    let least = answer.retryAfter;
    const pause = isWell ? null : follower.pause(performance.now(), Math.random(), least);
    if (isPlanned) return { ms: pause ?? 0 };
    const trouble = follower.over === "error" ? TROUBLE : answer.detail || CUT;
    const reason = isWell ? "" : trouble;
    const isInNeed = pause === null || follower.failures >= POLL_AFTER;
    const isDue = Date.now() - this.#polledAt >= every - LEAST;
    if (realtime && poll && isInNeed && isDue && !this.#closed) {
      const answer = await this.#polled();
      if (this.#away) return { ms: 0 };
      const verdict = this.#verdict(answer);
      if (verdict) return verdict;
      least = Math.max(least, answer.retryAfter);
    }
    this.#gaveUp = pause === null && !this.#polls;
    if (this.#gaveUp) return { name: "disconnected", reason: `gave up: ${reason}` };
    const ms = Math.max(pause ?? every, least);
    const attempt = Math.max(follower.failures, 1);
    const seconds = ms / 1000;
    /** @type {State} */
    const told = this.#polls
      ? { name: "polling", seconds, reason }
      : { name: "reconnecting", attempt, of: attempts, seconds, reason };
    return { ms, least, told };
  }

  async #polled() {
    this.#polledAt = Date.now();
    const answer = await this.#leg(this.#poll, false);
    this.#polls = answer.status === 200;
    if (this.#polls) this.counts.polls += 1;
    return answer;
  }

  /**
   * Run one leg.
   *
   * @param {Transport} transport
   * @param {boolean} connects whether the stream is connected once the leg has opened
   * @returns {Promise<Answer>} how it was answered; status 0 and what broke it, if that did
   */
  async #leg(transport, connects) {
    const follower = this.#follower;
    follower.begin(performance.now());
    this.#opened = this.#lost = false;
    const { signal } = (this.#abort = new AbortController());
    const held = () => follower.hold && follower.hold + HOLD_MARGIN;
    const watched = (this.#watch = watch(
      // A whole answer is silent for as long as it is held.
      () => Math.max(WATCH_BEATS * follower.heartbeat, held()),
      () => this.#abort.abort(new Error(SILENT)),
    ));
    try {
      const aborted = new Promise((_, reject) => (signal.onabort = () => reject(signal.reason)));
      const token = await Promise.race([this.#bearer(), aborted]);
      return await transport({
        url: this.#url,
        cursor: this.cursor,
        token,
        signal,
        onBytes: watched.hear,
        onMessage: (message) => this.#take(message, connects),
        isOver: () => follower.over !== null || this.#lost,
      });
    } catch (error) {
      const cause = signal.aborted ? signal.reason : error;
      const status = cause instanceof TooLarge ? TOO_LARGE : 0;
      // What fetch says of a connection differs from browser to browser, and tells nobody anything.
      const isNetwork = cause instanceof TypeError;
      const detail = isNetwork ? (this.#opened ? CUT : UNREACHABLE) : cause?.message;
      return { status, detail: String(detail ?? cause), retryAfter: 0 };
    } finally {
      watched.stop();
      this.#watch = null;
    }
  }

  async #bearer() {
    const { token = null } = this.#options;
    return typeof token === "function" ? (this.#token ??= await token()) : token;
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
    if ("event" in taken) call(this.#options.onEvent, taken.event);
    else if ("reset" in taken) this.#lose(taken.reset);
    else if ("beat" in taken) call(this.#options.onBeat, taken.beat);
    else {
      call(this.#options.onOpen, taken.opening);
      if (taken.opening.trimmed) this.#lose({ from: null, to: this.cursor ?? "" });
    }
  }

  /** @param {Reset} reset */
  #lose(reset) {
    this.#lost = this.#options.onReset === undefined;
    call(this.#options.onReset, reset);
  }

  /**
   * The state in which a leg ends the stream, or a pause of none for a token that is had anew; null
   * for neither.
   *
   * @param {Answer} answer
   * @returns {State | Pause | null}
   */
  #verdict({ status, detail }) {
    const { over, hasProven } = this.#follower;
    if (hasProven) this.#renewed = false;
    if (this.#lost) return { name: "disconnected", reason: LOST };
    if (over === "end" || status === 204) return { name: "ended" };
    const isExpired = over === "denied" || status === 401;
    // Once: a fresh one that is refused too is refused for good.
    if (isExpired && typeof this.#options.token === "function" && !this.#renewed) {
      this.#token = null;
      this.#renewed = true;
      return { ms: 0 };
    }
    if (isExpired || status === 403) return { name: "denied", reason: detail || EXPIRED };
    const isFinal = status >= 400 && status < 500 && status !== 408 && status !== 429;
    return isFinal ? { name: "disconnected", reason: detail } : null;
  }

  /** @param {Pause} pause */
  async #stayAway({ ms, told, least = 0 }) {
    if (this.#closed) return;
    const now = Date.now();
    this.notBefore = now + least;
    // What was planned is kept to; what is none, as the page was left, ends with its return.
    this.#until = told ? now + Math.max(least, LEAST) : ms < Infinity ? Infinity : 0;
    if (told) this.#tell(told);
    await new Promise((resolve) => {
      const timer = ms < Infinity ? setTimeout(resolve, ms) : undefined;
      this.#endPause = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    if (told?.name === "reconnecting") this.#tell({ ...told, seconds: 0 });
  }

  /** The page is seen again, or the network is back: look at what time it is, and lose none. */
  #back() {
    this.#away = false;
    this.#watch?.check();
    if (Date.now() >= this.#until) this.#endPause();
    if (this.#gaveUp && this.state.name === "disconnected") this.reconnect();
  }

  /** @param {State} state */
  #tell(state) {
    if (this.#closed) return;
    this.state = state;
    call(this.#options.onState, state);
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
