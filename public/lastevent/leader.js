/**
 * The tab that leads: it has the stream, and knows what the others are to be told.
 */

import { Stream } from "../lastevent.js";

/** @import { Options, State } from "../lastevent.js" */
/** @import { Step } from "./catchup.js" */
/** @import { Opening, Reset } from "./follower.js" */

/**
 * What happened.
 *
 * @typedef {object} News
 * @property {Step["event"]} [event]
 * @property {Reset} [reset]
 * @property {Opening} [opening]
 * @property {number | null} [beat]
 * @property {number} [pause]
 * @property {State} [state]
 */

/**
 * How the stream is, for a tab that may have heard nothing before: `from` is the cursor that was told
 * last, `to` the present one. Times in Unix ms.
 *
 * @typedef {object} Progress
 * @property {string | null} from
 * @property {string | null} to
 * @property {Stream["counts"]} counts
 * @property {number} repeated
 * @property {number} notBefore
 * @property {number | null} hiddenSince
 */

/**
 * What whoever led before leaves behind.
 *
 * @typedef {{ cursor: string | null } & Pick<Progress, "counts" | "repeated" | "notBefore">} Legacy
 */

export class Leader {
  #url;
  #options;
  #legacy;
  #onNews;
  /** @type {Stream | null} */
  #stream = null;
  /** Until the stream may begin. @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #told;
  /** @type {number | null} */
  #hiddenSince = null;

  /**
   * It begins at once, unless the server asked the one before to stay away.
   *
   * @param {string | URL} url
   * @param {Options} options
   * @param {Legacy} legacy
   * @param {(news: News) => void} onNews hears of all that the stream says
   */
  constructor(url, options, legacy, onNews) {
    this.#url = url;
    this.#options = options;
    this.#legacy = legacy;
    this.#onNews = onNews;
    this.#told = legacy.cursor;
    const wait = legacy.notBefore - Date.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#begin(), wait);
    else this.#begin();
  }

  /** The last id that its own stream has reached; null before that. */
  get cursor() {
    return this.#stream?.cursor ?? null;
  }

  /** Try at once. */
  reconnect() {
    if (this.#stream) this.#stream.reconnect();
    else this.#begin();
  }

  /** @returns {Progress} since it was asked last */
  progress() {
    const { cursor, counts, repeated, notBefore } = this.#legacy;
    const stream = this.#stream;
    const from = this.#told;
    const to = (this.#told = stream?.cursor ?? cursor);
    this.#hiddenSince = isHidden() ? (this.#hiddenSince ?? Date.now()) : null;
    return {
      ...{ from, to, hiddenSince: this.#hiddenSince },
      counts: stream ? sum(counts, stream.counts) : counts,
      repeated: stream ? stream.repeated : repeated,
      notBefore: stream ? stream.notBefore : notBefore,
    };
  }

  /** End it for good; its stream is heard of no more. */
  end() {
    clearTimeout(this.#timer);
    this.#stream?.close();
  }

  #begin() {
    clearTimeout(this.#timer);
    const { cursor } = this.#legacy;
    this.#stream = new Stream(this.#url, {
      ...this.#options,
      ...(cursor !== null && { cursor }),
      onEvent: (event) => this.#onNews({ event }),
      onReset: (reset) => this.#onNews({ reset }),
      onOpen: (opening) => this.#onNews({ opening }),
      onBeat: (beat) => this.#onNews({ beat }),
      onPause: (pause) => this.#onNews({ pause }),
      onState: (state) => this.#onNews({ state }),
    });
  }
}

export function isHidden() {
  return globalThis.document?.visibilityState === "hidden";
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
