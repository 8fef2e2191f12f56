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

import { Stream } from "../lastevent.js";
import { call } from "./call.js";
import { CatchUp } from "./catchup.js";
import { StreamEvent } from "./follower.js";
import { watchPage } from "./page.js";
import { Turn } from "./turn.js";

/** @import { Options, State } from "../lastevent.js" */
/** @import { Step } from "./catchup.js" */
/** @import { Opening, Reset } from "./follower.js" */

/**
 * `subject` is who reads: tabs share for the same one only, and without one they do not.
 *
 * @typedef {Options & { subject?: string | null | undefined }} SharedOptions
 */

/**
 * What happened.
 *
 * @typedef {object} News
 * @property {Step["event"]} [event]
 * @property {Reset} [reset]
 * @property {Opening} [opening]
 * @property {number | null} [beat]
 * @property {State} [state]
 */

/**
 * News, and how the stream is, for a tab that may have heard nothing before. Times in Unix ms.
 *
 * @typedef {object} Status
 * @property {string | null} from
 * @property {string | null} to
 * @property {State} state
 * @property {number} since
 * @property {Stream["counts"]} counts
 * @property {number} repeated
 * @property {number} notBefore
 * @property {number | null} hiddenSince
 */

/** @typedef {News & Status} Told */

/** @typedef {ReturnType<typeof setTimeout> | undefined} Timer */

/** What the others ask of a leader. @typedef {{ ask: "status" | "reconnect" }} Asked */

/** How long a leader may say nothing, in ms; its heartbeats are told too. */
const QUIET = 20_000;
/** How long it may take to answer. */
const PATIENCE = 2000;
/** A page's timers run late while it is hidden: after a while one that is seen leads. */
const HIDDEN = 30_000;
/** A leader whose page is left loses its connection first: no cut, if another leads by then. */
const LEAVING = 300;
const LOST = "events were lost";

export class SharedStream {
  /** The leader's, as the next two are. @type {State} */
  state = { name: "connecting" };
  counts = { legs: 0, plannedEnds: 0, cuts: 0, polls: 0 };
  repeated = 0;
  #url;
  #options;
  #name;
  #catchUp;
  #forgetPage;
  #closed = false;
  /** Whether we take part; whether we did when the page was left; whether we lead. */
  #isIn = false;
  #away = false;
  #leads = false;
  /** It is over for us, but trying again may help. */
  #gaveUp = false;
  /** @type {Turn | null} */
  #turn = null;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** Until the leader must have spoken, or may start. @type {Timer} */
  #timer;
  /** The leader's stream. @type {Stream | null} */
  #own = null;
  /** The counts of those who led before. */
  #before = this.counts;
  /** The cursor that was told last. @type {string | null} */
  #told = null;
  /** Since when the state is what it is; and the leader's that names seconds, when it was shown. */
  #since = Date.now();
  #shown = 0;
  /** Until a cut is shown. @type {Timer} */
  #showing;
  #notBefore = 0;
  /** @type {number | null} */
  #hiddenSince = null;

  /**
   * @param {string | URL} url
   * @param {SharedOptions} options
   */
  constructor(url, { subject, ...options }) {
    this.#url = url;
    this.#options = options;
    this.#name = isAble() && subject ? nameOf(url, subject, options) : null;
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
      this.#become(this.state);
      this.#join();
    });
  }

  /** The last id reached, of control events too; null before the first. */
  get cursor() {
    return this.#own?.cursor ?? this.#catchUp.cursor;
  }

  /** Whether the connection is this tab's. */
  get leads() {
    return this.#leads;
  }

  /** Try at once, whichever tab has the connection. */
  reconnect() {
    const { name } = this.state;
    if (this.#own) this.#own.reconnect();
    else if (this.#leads) this.#start();
    else if (this.#isIn) {
      this.#ask("reconnect");
      this.#catchUp.retry(true);
    } else if (name === "disconnected" || name === "denied") {
      this.#become({ name: "connecting" });
      this.#join();
    }
  }

  /** End it for good, for this tab. Nothing is called afterwards. */
  close() {
    this.#closed = true;
    this.#forgetPage();
    this.#part();
    this.state = { name: "disconnected", reason: "closed" };
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
    clearTimeout(this.#showing);
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
    this.#become(state);
  }

  #back() {
    if (this.#away) this.#join();
    else if (this.#gaveUp) this.reconnect();
    else if (this.#isIn && !this.#leads) this.#ask("status");
  }

  /** @param {State} state */
  #become(state) {
    clearTimeout(this.#showing);
    this.state = state;
    this.#since = Date.now();
    if (!this.#closed) call(this.#options.onState, state);
  }

  /** @param {News} news */
  #pass({ event, reset, opening, beat }) {
    const { onEvent, onReset, onOpen, onBeat } = this.#options;
    if (event) call(onEvent, new StreamEvent(event.id, event.type, event.data));
    if (reset) call(onReset, reset);
    if (reset && !onReset) this.#leave({ name: "disconnected", reason: LOST });
    if (opening) call(onOpen, opening);
    if (beat !== undefined) call(onBeat, beat);
  }

  // Leading.

  #lead() {
    this.#catchUp.stop();
    clearTimeout(this.#showing);
    clearTimeout(this.#timer);
    this.#leads = true;
    // What the server asked of the one before holds for us.
    const wait = this.#notBefore - Date.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#start(), wait);
    else this.#start();
  }

  #start() {
    clearTimeout(this.#timer);
    const cursor = (this.#told = this.#catchUp.cursor);
    this.#before = this.counts;
    this.#own = new Stream(this.#url, {
      ...this.#options,
      ...(cursor !== null && { cursor }),
      onEvent: (event) => this.#tell({ event }),
      onReset: (reset) => this.#tell({ reset }),
      onOpen: (opening) => this.#tell({ opening }),
      onBeat: (beat) => this.#tell({ beat }),
      onState: (state) => {
        // A change of the leader is no news where all was well.
        const isSame = state.name === this.state.name && !("reason" in state);
        const isBegun = state.name === "connecting" && this.state.name === "connected";
        if (!isSame && !isBegun) this.#tell({ state });
      },
    });
  }

  #resign() {
    const own = this.#own;
    this.#own = null;
    this.#leads = false;
    if (own?.cursor) this.#catchUp.standAt(own.cursor);
    own?.close();
  }

  /** @param {News} news */
  #tell(news) {
    const own = this.#own;
    if (own) {
      this.counts = sum(this.#before, own.counts);
      this.repeated = own.repeated;
      this.#notBefore = own.notBefore;
    }
    this.#hiddenSince = isHidden() ? (this.#hiddenSince ?? Date.now()) : null;
    const { counts, repeated, cursor: to } = this;
    /** @type {Status} */
    const status = {
      state: this.state,
      since: news.state ? Date.now() : this.#since,
      from: this.#told,
      ...{ to, counts, repeated, notBefore: this.#notBefore, hiddenSince: this.#hiddenSince },
    };
    this.#channel?.postMessage({ ...status, ...news });
    this.#told = to;
    this.#pass(news);
    if (news.state?.name === "ended") this.#leave(news.state);
    else if (news.state) this.#become(news.state);
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
      if (!this.#leads) return;
      if (message.ask === "reconnect") this.reconnect();
      this.#tell({});
    } else if (!this.#leads) this.#learn(message);
  }

  /** @param {Told} told */
  #learn({ event, opening, beat, ...told }) {
    this.#expect(QUIET, () => this.#ask("status"));
    ({ counts: this.counts, repeated: this.repeated, notBefore: this.#notBefore } = told);
    // The end is told when what came before it has been taken.
    const isLast = told.state.name === "ended";
    if (!isLast) this.#show(told);
    // What the leader did not find at its beginning is no loss of ours.
    if (opening) this.#pass({ opening: { ...opening, trimmed: false } });
    if (beat !== undefined) this.#pass({ beat });
    if (!this.#isIn) return; // a callback has closed it
    this.#catchUp.tell({ from: told.from, to: told.to, event, reset: told.reset, isLast });
    if (told.state.name === "connected") this.#catchUp.retry();
    const isLate = told.hiddenSince !== null && Date.now() - told.hiddenSince >= HIDDEN;
    if (isLate && !isHidden()) this.#turn?.take();
  }

  /** @param {Status} status */
  #show({ state, since }) {
    clearTimeout(this.#showing);
    if ("seconds" in state) {
      if (since === this.#shown) return;
      const isCut = state.name === "reconnecting" && this.state.name === "connected";
      const show = () => {
        this.#shown = since;
        const seconds = Math.max(0, state.seconds - (Date.now() - since) / 1000);
        this.#become({ ...state, seconds });
      };
      if (isCut) this.#showing = setTimeout(show, LEAVING);
      else show();
    } else if (JSON.stringify(state) !== JSON.stringify(this.state)) this.#become(state);
  }
}

function isAble() {
  return "BroadcastChannel" in globalThis && Boolean(globalThis.navigator?.locks);
}

function isHidden() {
  return globalThis.document?.visibilityState === "hidden";
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

/**
 * @param {Stream["counts"]} one
 * @param {Stream["counts"]} other
 */
function sum(one, other) {
  return {
    legs: one.legs + other.legs,
    plannedEnds: one.plannedEnds + other.plannedEnds,
    cuts: one.cuts + other.cuts,
    polls: one.polls + other.polls,
  };
}
