/**
 * A stream as React reads it: a snapshot that changes at most once a frame. It knows no React.
 *
 * What an event says is worked into the snapshot's value by a folding. A store outlives its stream:
 * one that is followed again goes on where it stood, as when React runs an effect twice.
 */

import { Stream } from "../../lastevent.js";
import { call } from "../call.js";
import { SharedStream } from "../tabs.js";

/** @import { State } from "../../lastevent.js" */
/** @import { Opening, Reset, StreamEvent } from "../follower.js" */
/** @import { SharedOptions } from "../tabs.js" */

/**
 * How events become a value; it is never changed, but replaced. `keep` is how much of what was
 * events is wanted at most.
 *
 * @template T
 * @typedef {object} Folding
 * @property {T} initial
 * @property {(value: T, events: readonly StreamEvent[], keep: number | undefined) => T} fold
 * @property {(value: T, reset: Reset) => T} [lose] events are missing here
 */

/** @typedef {SharedOptions & { keep?: number }} StoreOptions */

/**
 * What is known of the stream `identity`; null: there is none. `beat` is when the last heartbeat
 * was heard, in Unix ms.
 *
 * @template T
 * @typedef {object} Snapshot
 * @property {string | null} identity
 * @property {T} value
 * @property {StreamEvent | null} last
 * @property {State | { name: "idle" }} state
 * @property {string | null} cursor
 * @property {number | null} beat
 */

/** ms until a render in a page that is hidden, and so gets no frames. */
const LATEST = 250;
/** Events that are folded at once, so that a hidden page does not pile them up. */
const MOST_PENDING = 1000;

/** @template T */
export class Store {
  /** Those of the last render; what the stream calls back is always one of them. */
  options = /** @type {StoreOptions} */ ({});
  #folding;
  /** @type {Snapshot<T>} */
  #snapshot;
  /** What the next snapshot will be. @type {Snapshot<T>} */
  #next;
  /** @type {StreamEvent[]} */
  #pending = [];
  /** @type {Stream | SharedStream | null} */
  #stream = null;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  #frame = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {Folding<T>} folding */
  constructor(folding) {
    this.#folding = folding;
    this.#snapshot = this.#next = this.fresh(null);
  }

  /**
   * What is known of a stream of which nothing was heard.
   *
   * @param {string | null} identity
   * @returns {Snapshot<T>}
   */
  fresh(identity) {
    const value = this.#folding.initial;
    /** @type {Snapshot<T>["state"]} */
    const state = { name: identity === null ? "idle" : "connecting" };
    return { identity, value, last: null, state, cursor: null, beat: null };
  }

  /** @param {() => void} listener */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** The present snapshot. */
  get = () => this.#snapshot;

  /** Try at once. */
  reconnect = () => {
    this.#stream?.reconnect();
  };

  /**
   * Follow the stream at `url`, until `pause`; the one that was followed last goes on where it stood.
   *
   * @param {string} identity
   * @param {string} url
   */
  follow(identity, url) {
    if (this.#next.identity !== identity) {
      this.#next = { ...this.fresh(identity), cursor: this.options.cursor ?? null };
    }
    const { keep, subject, token, onReset, ...others } = this.options;
    const { cursor } = this.#next;
    const options = {
      ...others,
      ...(cursor !== null && { cursor }),
      ...(token !== undefined && { token: typeof token === "string" ? token : this.#token }),
      ...(onReset && { onReset: this.#lose }),
      ...{ onEvent: this.#take, onState: this.#enter, onBeat: this.#beat, onOpen: this.#open },
    };
    this.#stream = subject ? new SharedStream(url, { ...options, subject }) : new Stream(url, options);
    this.#show();
  }

  /** Follow no more; what has come is kept. */
  pause() {
    this.#forgetFrame();
    this.#fold();
    this.#stream?.close();
    this.#stream = null;
  }

  #token = async () => {
    const { token = "" } = this.options;
    return typeof token === "string" ? token : token();
  };

  /** @param {StreamEvent} event */
  #take = (event) => {
    this.#pending.push(event);
    if (this.#pending.length >= MOST_PENDING) this.#fold();
    this.#show();
    call(this.options.onEvent, event);
  };

  /** @param {Reset} reset */
  #lose = (reset) => {
    this.#fold();
    const value = this.#folding.lose?.(this.#next.value, reset) ?? this.#next.value;
    this.#become({ value });
    call(this.options.onReset, reset);
  };

  /** @param {State} state */
  #enter = (state) => {
    this.#become({ state });
    call(this.options.onState, state);
  };

  /** @param {number | null} time */
  #beat = (time) => {
    this.#become({ beat: Date.now() });
    call(this.options.onBeat, time);
  };

  /** @param {Opening} opening */
  #open = (opening) => call(this.options.onOpen, opening);

  /** @param {Partial<Snapshot<T>>} changes */
  #become(changes) {
    this.#next = { ...this.#next, ...changes };
    this.#show();
  }

  /** Work in what has come. The cursor goes with it: the two belong together. */
  #fold() {
    const events = this.#pending;
    this.#pending = [];
    const cursor = this.#stream?.cursor ?? this.#next.cursor;
    const value = events.length
      ? this.#folding.fold(this.#next.value, events, this.options.keep)
      : this.#next.value;
    this.#next = { ...this.#next, value, cursor, last: events.at(-1) ?? this.#next.last };
  }

  /** Have the next snapshot shown with the next frame. */
  #show() {
    if (this.#timer !== undefined) return;
    const show = () => {
      this.#forgetFrame();
      this.#fold();
      this.#snapshot = this.#next;
      for (const listener of [...this.#listeners]) listener();
    };
    this.#timer = setTimeout(show, LATEST);
    this.#frame = requestAnimationFrame(show);
  }

  #forgetFrame() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    cancelAnimationFrame(this.#frame);
  }
}
