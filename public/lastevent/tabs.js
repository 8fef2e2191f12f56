/**
 * One connection for all tabs that show the same stream to the same reader.
 *
 *     import { SharedStream } from "/lastevent/tabs.js";
 *
 *     const stream = new SharedStream("/api/sse", { subject: "clara", onEvent: … });
 *
 * The tab whose turn it is leads: it has the stream, and tells the others what comes; how they take
 * that says `catchup.js`. When it is left, closed, frozen or crashes, the next one leads; from one
 * that does not answer it is taken.
 */

import { call } from "./call.js";
import { CatchUp } from "./catchup.js";
import { StreamEvent } from "./follower.js";
import { isHidden, Leader } from "./leader.js";
import { watchPage } from "./page.js";
import { Shown } from "./shown.js";
import { Turn } from "./turn.js";

/** @import { Options, State } from "../lastevent.js" */
/** @import { News, Progress } from "./leader.js" */

/**
 * `subject` is who reads: tabs share for the same one only, and without one they do not. `notBefore` is
 * what a stream before this one has left: until when to stay away, in Unix ms.
 *
 * @typedef {Options & { subject?: string | null | undefined, notBefore?: number }} SharedOptions
 */

/**
 * News, and how the stream is, with its state and since when that is so, in Unix ms.
 *
 * @typedef {Progress & { state: State, since: number }} Status
 */

/** @typedef {News & Status} Told */

/** What the others ask of a leader. @typedef {{ ask: "status" | "reconnect" }} Asked */

/** How long a leader may say nothing, in ms; its heartbeats are told too. */
const QUIET = 20_000;
/** How long it may take to answer. */
const PATIENCE = 2000;
/** A page's timers run late while it is hidden: after a while one that is seen leads. */
const HIDDEN = 30_000;
const LOST = "events were lost";

export class SharedStream {
  /** The leader's, as `state` and `repeated` are. */
  counts = { legs: 0, plannedEnds: 0, cuts: 0, polls: 0 };
  repeated = 0;
  #url;
  #options;
  #name;
  #catchUp;
  #forgetPage;
  #closed = false;
  /** Whether we take part, and whether we did when the page was left. */
  #isIn = false;
  #away = false;
  /** It is over for us, but trying again may help. */
  #gaveUp = false;
  /** @type {Turn | null} */
  #turn = null;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** Until the leader must have spoken. @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** While we lead. @type {Leader | null} */
  #leader = null;
  #shown;
  /** Until when the server asked the leader to stay away, in Unix ms. */
  notBefore;

  /**
   * @param {string | URL} url
   * @param {SharedOptions} options
   */
  constructor(url, { subject, notBefore = 0, ...options }) {
    this.#url = url;
    this.notBefore = notBefore;
    this.#options = options;
    this.#name = isAble() && subject ? nameOf(url, subject, options) : null;
    this.#shown = new Shown(options.onState);
    this.#catchUp = new CatchUp(url, options, {
      onEvent: (event) => this.#pass({ event }),
      onReset: (reset) => this.#pass({ reset }),
      onOver: (state, gaveUp) => this.#leave(state, gaveUp),
    });
    this.#forgetPage = watchPage(
      () => this.#back(),
      () => {
        this.#away ||= this.#isIn;
        this.#part();
      },
    );
    // Not before the caller holds the stream that its callbacks may speak of.
    queueMicrotask(() => {
      this.#shown.become(this.state);
      this.#join();
    });
  }

  /** @returns {State} */
  get state() {
    return this.#shown.state;
  }

  /** The last id reached, of control events too; null before the first. */
  get cursor() {
    return this.#leader?.cursor ?? this.#catchUp.cursor;
  }

  /** Whether the connection is this tab's. */
  get leads() {
    return this.#leader !== null;
  }

  /** Try at once, whichever tab has the connection. */
  reconnect() {
    const { name } = this.state;
    // What is planned is kept to, by who takes over too.
    if (this.#leader) {
      if (!/^connect/.test(name)) this.#leader.reconnect();
    } else if (this.#isIn) {
      this.#ask("reconnect");
      this.#catchUp.retry(true);
    } else if (name === "disconnected" || name === "denied") {
      this.#shown.become({ name: "connecting" });
      this.#join();
    }
  }

  /** End it for good, for this tab. Nothing is called afterwards. */
  close() {
    this.#closed = true;
    this.#forgetPage();
    this.#part();
    this.#shown.close();
  }

  #join() {
    if (this.#closed || this.#isIn) return;
    this.#isIn = true;
    this.#away = this.#gaveUp = false;
    if (this.#name === null) return this.#lead();
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#turn = new Turn(this.#name, {
      onTurn: () => this.#lead(),
      onTaken: () => {
        this.#resign();
        this.#ask("status");
      },
      onRefused: () => {
        this.#part();
        this.#name = null;
        this.#join();
      },
    });
    this.#turn.wait();
    this.#ask("status");
  }

  /** Let go of everything but the position. */
  #part() {
    this.#isIn = false;
    this.#resign();
    this.#catchUp.stop(); // who comes back has its position judged
    this.#shown.keep();
    clearTimeout(this.#timer);
    this.#turn?.end();
    this.#channel?.close();
    this.#turn = this.#channel = null;
  }

  /**
   * It is over for this tab, unless the reader wants it again.
   *
   * @param {State} state
   */
  #leave(state, gaveUp = false) {
    if (!this.#isIn) return;
    this.#part();
    this.#gaveUp = gaveUp && state.name === "disconnected";
    this.#shown.become(state);
  }

  #back() {
    if (this.#away) this.#join();
    else if (this.#gaveUp) this.reconnect();
    else if (this.#isIn && !this.#leader) this.#ask("status");
  }

  /** @param {News} news */
  #pass({ event, reset, opening, beat, pause }) {
    const { onEvent, onReset, onOpen, onBeat, onPause } = this.#options;
    if (event) call(onEvent, new StreamEvent(event.id, event.type, event.data));
    if (reset) call(onReset, reset);
    if (reset && !onReset) this.#leave({ name: "disconnected", reason: LOST });
    if (opening) call(onOpen, opening);
    if (beat !== undefined) call(onBeat, beat);
    if (pause !== undefined) call(onPause, pause);
  }

  // Leading.

  #lead() {
    this.#catchUp.stop();
    this.#shown.keep();
    clearTimeout(this.#timer);
    const { counts, repeated, notBefore } = this;
    const legacy = { cursor: this.#catchUp.cursor, counts, repeated, notBefore };
    this.#leader = new Leader(this.#url, this.#options, legacy, (news) => this.#tell(news));
  }

  #resign() {
    const leader = this.#leader;
    this.#leader = null;
    if (leader?.cursor) this.#catchUp.standAt(leader.cursor);
    leader?.end();
  }

  /** @param {News} news */
  #tell(news) {
    const { state } = news;
    if (!this.#leader || (state && this.#isKnown(state))) return;
    const progress = this.#leader.progress();
    ({ counts: this.counts, repeated: this.repeated, notBefore: this.notBefore } = progress);
    /** @type {Status} */
    const status = { ...progress, state: this.state, since: state ? Date.now() : this.#shown.since };
    this.#channel?.postMessage({ ...status, ...news });
    this.#pass(news);
    if (state?.name === "ended") this.#leave(state);
    else if (state) this.#shown.become(state);
  }

  /** A change of the leader is no news where all was well. @param {State} state */
  #isKnown(state) {
    const isSame = state.name === this.state.name && !("reason" in state);
    return isSame || (state.name === "connecting" && this.state.name === "connected");
  }

  // Following.

  /** @param {Asked["ask"]} ask */
  #ask(ask) {
    this.#channel?.postMessage({ ask });
    this.#expect(PATIENCE, () => this.#turn?.take());
  }

  /**
   * @param {number} ms
   * @param {() => void} otherwise what to do if the leader is not heard for so long
   */
  #expect(ms, otherwise) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(otherwise, ms);
  }

  /** @param {Told | Asked} message */
  #hear(message) {
    if ("ask" in message) {
      if (!this.#leader) return;
      if (message.ask === "reconnect") this.reconnect();
      this.#tell({});
    } else if (!this.#leader) this.#learn(message);
  }

  /** @param {Told} told */
  #learn({ event, opening, beat, pause, ...told }) {
    this.#expect(QUIET, () => this.#ask("status"));
    ({ counts: this.counts, repeated: this.repeated, notBefore: this.notBefore } = told);
    // The end is told when what came before it has been taken.
    const isLast = told.state.name === "ended";
    if (!isLast) this.#shown.learn(told.state, told.since);
    // What the leader did not find at its beginning is no loss of ours.
    if (opening) this.#pass({ opening: { ...opening, trimmed: false } });
    if (beat !== undefined) this.#pass({ beat });
    if (pause !== undefined) this.#pass({ pause });
    if (!this.#isIn) return; // a callback has closed it
    this.#catchUp.tell({ from: told.from, to: told.to, event, reset: told.reset, isLast });
    if (told.state.name === "connected") this.#catchUp.retry();
    const isLate = told.hiddenSince !== null && Date.now() - told.hiddenSince >= HIDDEN;
    if (isLate && !isHidden()) this.#turn?.take();
  }
}

function isAble() {
  return "BroadcastChannel" in globalThis && Boolean(globalThis.navigator?.locks);
}

/**
 * What tabs have in common that share: not where they begin.
 *
 * @param {string | URL} url
 * @param {string} subject
 * @param {Options} options
 */
function nameOf(url, subject, { types, realtime }) {
  const { href } = new URL(url, globalThis.location?.href);
  return `lastevent 1 ${JSON.stringify([subject, href, types ?? [], realtime !== false])}`;
}
