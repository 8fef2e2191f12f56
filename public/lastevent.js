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
 * no stream gets through, by a clock of their own. It needs fetch and runs in browsers and in Node.
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
 * @property {(ms: number) => void} [onPause] hears of each planned end, with the ms it asks for
 * @property {typeof fetch} [fetch] used in the place of the global one
 * @property {Transport} [transport] used in the place of Server-Sent Events
 */

/**
 * What follows a leg if the stream goes on: a pause of so many ms, or until `notBefore`, if that is
 * later. With a `reason` it is told, and what happens to the page may end it.
 *
 * @typedef {{ ms: number, reason?: string }} Pause
 */

/** How a leg with this token was answered. @typedef {Answer & { token: string | null }} Answered */

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
/** How a leg is over when polls have gone on from where it was asked for. */
const PASSED = "passed";
/** The refusals that asking again does not change. */
const FINAL = /^4(?!08|29)/;
/** The states in which a stream is wanted and does not stand. */
const WANTING = /ing$/;
const CUT = "the connection was cut";
/** What becomes of a leg that was open when the network went, once that is back. */
const AWAY = new Error("the network was away");

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
  /** Why there is no stream, and since when, in Unix ms. */
  #reason = "no answer yet";
  #lostAt = Date.now();
  /** Whether the last poll was answered, and when it began. */
  #polls = false;
  #polledAt = 0;
  /** Whether a poll is under way that stands in for a stream. */
  #isPolling = false;
  /** Until the next one. @type {ReturnType<typeof setTimeout> | undefined} */
  #pollTimer;
  /** The end, if one was answered with that. @type {State | null} */
  #end = null;
  /** The page was left: nothing is asked for until it is back. */
  #away = false;
  #abort = new AbortController();
  #pollAbort = new AbortController();
  /** Of the leg that was open when the network went. @type {AbortController | null} */
  #suspect = null;
  /** When the pause ends, in Unix ms; 0 where there is none. */
  #due = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
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
        this.#abort.abort();
        this.#expectPoll();
      },
      () => (this.#suspect = this.#abort),
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
    if (name === "connected" || name === "ended") return;
    this.notBefore = 0;
    if (WANTING.test(name)) return this.#endPause();
    this.#follower.failures = 0;
    this.#renewed = this.#polls = false;
    this.#end = null;
    this.#start();
  }

  /** End it for good. Nothing is called afterwards. */
  close() {
    this.#closed = true;
    this.state = { name: "disconnected", reason: "closed" };
    this.#forgetPage();
    this.#abort.abort();
    this.#expectPoll();
    this.#endPause();
  }

  async #start() {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#tell({ name: "connecting" });
    while (!this.#closed) {
      const next = this.#end ?? (await this.#next());
      if (!("name" in next)) await this.#stayAway(next);
      else {
        this.#running = false; // before it is told: who hears of it may call reconnect
        return this.#tell(next);
      }
    }
  }

  /** Run a leg, or a poll where no stream is wanted. @returns {Promise<State | Pause>} */
  async #next() {
    const follower = this.#follower;
    const { realtime = true, poll = POLL, onPause } = this.#options;
    if (this.#away) return { ms: Infinity };
    const abort = (this.#abort = new AbortController());
    const answer = await (realtime ? this.#leg(this.#stream, abort, true) : this.#polled(abort));
    if (this.#away || this.#end || follower.over === PASSED) return { ms: 0 };
    const isPlanned = follower.over === "rotate";
    if (isPlanned) this.counts.plannedEnds += 1;
    else if (this.#opened && follower.over !== "end") this.counts.cuts += 1;
    const verdict = this.#verdict(answer);
    if (verdict) return verdict;
    const isWell = !realtime && this.#polls;
    if (isWell) follower.failures = 0;
    const now = Date.now();
    this.notBefore = Math.max(this.notBefore, now + answer.retryAfter);
    // What it failed by is over, if that was the network's absence.
    const chance = abort.signal.reason === AWAY ? 0 : Math.random();
    const pause = isWell ? poll || POLL : follower.pause(now, chance);
    if (isPlanned && pause !== null) {
      this.notBefore = now + pause;
      call(onPause, pause);
      return { ms: 0 };
    }
    const trouble = follower.over === "error" ? "the server has trouble" : answer.detail || CUT;
    const reason = (this.#reason = isWell ? "" : trouble);
    const mayPoll = realtime && poll && this.notBefore <= now && !this.#isPolling;
    if (pause === null && mayPoll && !this.#polls) {
      await this.#standIn();
      if (this.#away || this.#end) return { ms: 0 };
    }
    this.#gaveUp = pause === null && !this.#polls;
    if (this.#gaveUp) return { name: "disconnected", reason: `gave up: ${reason}` };
    return { ms: pause ?? poll, reason };
  }

  /** @param {AbortController} abort */
  async #polled(abort) {
    this.#polledAt = Date.now();
    const answer = await this.#leg(this.#poll, abort, false);
    this.#polls = answer.status === 200;
    if (this.#polls) {
      this.counts.polls += 1;
      this.#renewed = false;
    }
    return answer;
  }

  /** Have a poll come when it is time for one, and none where a stream stands or none is wanted. */
  #expectPoll() {
    clearTimeout(this.#pollTimer);
    const { realtime = true, poll = POLL } = this.#options;
    if (this.#away || !WANTING.test(this.state.name)) {
      this.#isPolling = false;
      this.#pollAbort.abort();
    } else if (realtime && poll && !this.#isPolling) {
      const isInNeed = this.#follower.failures >= POLL_AFTER;
      const last = Math.max(this.#polledAt, isInNeed ? 0 : this.#lostAt);
      const wait = Math.max(last + poll, this.notBefore) - Date.now();
      this.#pollTimer = setTimeout(() => this.#standIn(), wait);
    }
  }

  /** Poll in the place of a stream that does not get through. */
  async #standIn() {
    clearTimeout(this.#pollTimer);
    this.#isPolling = true;
    const answer = await this.#polled((this.#pollAbort = new AbortController()));
    if (!this.#isPolling) return;
    this.#isPolling = false;
    const verdict = this.#verdict(answer);
    if (verdict && "name" in verdict) {
      this.#end = verdict;
      this.#abort.abort();
      this.#endPause();
    } else if (verdict) await this.#standIn();
    else {
      const { retryAfter } = answer;
      if (retryAfter) this.notBefore = Date.now() + retryAfter;
      if (this.#due) this.#wait(this.#due);
      this.#show();
    }
  }

  /**
   * Run one leg.
   *
   * @param {Transport} transport
   * @param {AbortController} abort
   * @param {boolean} connects whether the stream is connected once the leg has opened
   * @returns {Promise<Answered>} status 0 and what broke it, if that did
   */
  async #leg(transport, abort, connects) {
    const follower = this.#follower;
    follower.begin(Date.now());
    this.#opened = this.#lost = false;
    const { signal } = abort;
    // A whole answer is silent for as long as it is held.
    const held = () => (connects && follower.hold ? follower.hold + HOLD_MARGIN : 0);
    const watched = watch(
      () => Math.max(WATCH_BEATS * follower.heartbeat, held()),
      () => abort.abort(new Error("nothing was heard for two heartbeats")),
    );
    /** @type {string | null} */
    let token = null;
    try {
      const aborted = new Promise((_, reject) => (signal.onabort = () => reject(signal.reason)));
      token = await Promise.race([this.#bearer(), aborted]);
      const { cursor } = this;
      const answer = await transport({
        url: this.#url,
        cursor,
        token,
        signal,
        onBytes: watched.hear,
        onMessage: (message) => signal.aborted || this.#take(message, connects, cursor),
        isOver: () => follower.over !== null || this.#lost,
      });
      return { ...answer, token };
    } catch (error) {
      const cause = signal.aborted ? signal.reason : error;
      const status = cause instanceof TooLarge ? TOO_LARGE : 0;
      // What fetch says of a connection differs from browser to browser, and tells nobody anything.
      const isNetwork = cause instanceof TypeError;
      const network = this.#opened ? CUT : "the server cannot be reached";
      const detail = String(isNetwork ? network : (cause?.message ?? cause));
      return { status, detail, retryAfter: 0, token };
    } finally {
      watched.stop();
    }
  }

  async #bearer() {
    const { token = null } = this.#options;
    return typeof token === "function" ? (this.#token ??= await token()) : token;
  }

  /**
   * @param {Message} message
   * @param {boolean} connects
   * @param {string | null} cursor where the leg was asked for
   */
  #take(message, connects, cursor) {
    const follower = this.#follower;
    if (this.#closed || this.#lost || follower.over !== null) return;
    if (connects && !this.#opened) {
      this.#polls = false;
      this.notBefore = 0;
      if (this.state.name !== "connected") this.#tell({ name: "connected" });
      // It gets through, and is asked for anew where the polls have come to.
      if (cursor !== this.cursor) return void (follower.over = PASSED);
      this.#opened = true;
      this.counts.legs += 1;
    }
    const taken = follower.take(message);
    // Of the stream a poll proves nothing.
    if (!connects) follower.hasMoved = false;
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
   * @param {Answered} answer
   * @returns {State | Pause | null}
   */
  #verdict({ status, detail, token }) {
    const { over, hasProven } = this.#follower;
    if (hasProven) this.#renewed = false;
    if (this.#lost) return { name: "disconnected", reason: "events were lost" };
    if (over === "end" || status === 204) return { name: "ended" };
    const isExpired = over === "denied" || status === 401;
    // Once: a fresh one that is refused too is refused for good. A leg may still have an older one.
    const isOld = token !== this.#token;
    if (isExpired && typeof this.#options.token === "function" && (isOld || !this.#renewed)) {
      if (!isOld) this.#token = null;
      this.#renewed = true;
      return { ms: 0 };
    }
    if (isExpired || status === 403) {
      return { name: "denied", reason: detail || "the token has expired" };
    }
    const isFinal = FINAL.test(String(status));
    return isFinal ? { name: "disconnected", reason: detail } : null;
  }

  /** @param {Pause} pause */
  async #stayAway({ ms, reason }) {
    if (this.#closed) return;
    const now = Date.now();
    // What was planned is kept to; what is none, as the page was left, ends with its return.
    const isTold = reason !== undefined;
    this.#until = isTold ? now + LEAST : ms < Infinity ? Infinity : 0;
    const ended = new Promise((resolve) => (this.#endPause = () => resolve(undefined)));
    this.#wait(now + ms);
    if (isTold) this.#show();
    await ended;
    clearTimeout(this.#timer);
    this.#due = 0;
    if (isTold && ms && !this.#polls) this.#show();
  }

  /** Have the pause end, but not before the server wants us. @param {number} due in Unix ms */
  #wait(due) {
    clearTimeout(this.#timer);
    this.#due = Math.max(due, this.notBefore);
    if (due < Infinity) this.#timer = setTimeout(this.#endPause, this.#due - Date.now());
  }

  /** Tell how it is without a stream. */
  #show() {
    const { attempts: of = ATTEMPTS } = this.#options;
    const reason = this.#reason;
    const seconds = Math.max(0, this.#due - Date.now()) / 1000;
    const attempt = Math.min(this.#follower.failures || 1, of);
    this.#tell(
      this.#polls
        ? { name: "polling", seconds, reason }
        : { name: "reconnecting", attempt, of, seconds, reason },
    );
  }

  /** The page is seen again, or the network is back: lose no time. */
  #back() {
    this.#away = false;
    this.#suspect?.abort(AWAY);
    this.#suspect = null;
    if (this.#due && Date.now() >= this.#until) this.#wait(0);
    this.#expectPoll();
    if (this.#gaveUp && this.state.name === "disconnected") this.reconnect();
  }

  /** @param {State} state */
  #tell(state) {
    if (this.#closed) return;
    if (!WANTING.test(this.state.name)) this.#lostAt = Date.now();
    this.state = state;
    this.#expectPoll();
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
