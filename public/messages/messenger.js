/**
 * Keeps the state up to date: the snapshot first, then the stream from the snapshot's cursor. It
 * knows no element.
 */

import { follow } from "../site/live.js";
import { Errand } from "./errand.js";
import { Reading } from "./reading.js";
import * as requests from "./requests.js";
import { Store } from "./store.js";
import { Writing } from "./writing.js";

/** @import { State as Connected } from "../lastevent.js" */
/** @import { StreamEvent } from "../lastevent/follower.js" */
/** @import { Task } from "./errand.js" */
/** @import { Who } from "./requests.js" */

/** How long after a beginning there is another one at the soonest, in ms, however much is lost. */
const AGAIN = 1000;

/**
 * @typedef {object} Hearer
 * @property {() => void} onChange
 * @property {(state: Connected, polls: number) => void} onConnection
 * @property {() => void} onBeat
 */

export class Messenger {
  /** Who reads here; null until there is a snapshot. @type {Who | null} */
  who = null;
  /** Why there is no snapshot; null: there is one, or it is asked for. @type {unknown} */
  problem = null;
  #store = new Store();
  reading = new Reading(this.#store);
  writing = new Writing(this.#store);
  #hearer;
  /** @type {ReturnType<typeof follow> | null} */
  #stream = null;
  #isConnected = false;
  #begunAt = -Infinity;
  #isToBegin = false;
  #errand = new Errand(() => (this.#isToBegin ? this.#beginning() : null));

  /** @param {Hearer} hearer */
  constructor(hearer) {
    this.#hearer = hearer;
    this.#store.hear(() => hearer.onChange());
    addEventListener("online", () => this.#hurry());
  }

  get state() {
    return this.#store.state;
  }

  /** Take the snapshot, and follow from it; also after that was given up. */
  begin() {
    this.problem = null;
    this.#isToBegin = true;
    this.#errand.hurry();
    this.#store.changed();
  }

  reconnect() {
    this.#stream?.reconnect();
    this.#hurry();
  }

  /** @returns {Task} */
  #beginning() {
    return {
      run: async () => {
        const who = await requests.who();
        const { conversations, next: more, cursor } = await requests.conversations(null);
        this.#isToBegin = false;
        this.who = who;
        this.problem = null;
        this.#begunAt = performance.now();
        this.#store.dispatch({ type: "began", me: who.sub, conversations, more });
        this.writing.begin(who.sub);
        this.reading.begin();
        this.#follow(cursor);
      },
      failed: (error, isLast) => {
        if (isLast) this.#isToBegin = false;
        this.problem = error;
        this.#store.changed();
      },
    };
  }

  /** @param {string} cursor */
  #follow(cursor) {
    this.#stream?.close();
    this.#stream = follow("/api/sse", {
      cursor,
      onEvent: (event) => this.#hear(event),
      onReset: () => this.#beginAgain(),
      onBeat: this.#hearer.onBeat,
      onState: (state) => this.#connect(state),
      sentAt: (event) => (event.type === "message" ? (event.json().sentAt ?? null) : null),
    });
    this.#connect(this.#stream.state);
  }

  /** What is lost cannot be told of any more: everything is asked for anew. */
  #beginAgain() {
    this.#stream?.close();
    setTimeout(() => this.begin(), Math.max(0, this.#begunAt + AGAIN - performance.now()));
  }

  /** @param {Connected} state */
  #connect(state) {
    const isConnected = state.name === "connected" || state.name === "polling";
    if (isConnected && !this.#isConnected) this.#hurry();
    this.#isConnected = isConnected;
    this.#hearer.onConnection(state, this.#stream?.counts.polls ?? 0);
  }

  /** @param {StreamEvent} event */
  #hear(event) {
    this.#store.dispatch({ type: "event", name: event.type, data: event.json(), now: Date.now() });
  }

  /** The server answers again: what waits does so no longer. */
  #hurry() {
    this.#errand.hurry();
    if (!this.who) return;
    this.reading.hurry();
    this.writing.hurry();
  }
}
