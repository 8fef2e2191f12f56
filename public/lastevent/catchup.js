/**
 * A reader who is told what comes, by another who has the connection, and fetches what it lacks.
 *
 * What is told says from where to where it leads:
 *
 *     a reader that is at `to` or beyond    has it already
 *     one at `from` or between them         takes the event, and is at `to`
 *     one before `from`                     lacks something: asks the JSON face from where it is, and
 *                                           takes afterwards what it was told meanwhile
 *
 * So it gets each event once and in order, whenever it came and whoever tells.
 */

import { Stream } from "../lastevent.js";
import { backOff } from "./follower.js";
import { furthest, isBehind } from "./position.js";

/** @import { Options, State } from "../lastevent.js" */
/** @import { Reset } from "./follower.js" */

/**
 * One step of a stream. Of several streams each position holds a place in all of them.
 *
 * @typedef {object} Step
 * @property {string | null} from
 * @property {string | null} to
 * @property {{ id: string, type: string, data: string } | undefined} [event]
 * @property {Reset | undefined} [reset]
 * @property {boolean} isLast the stream ends here
 */

/**
 * What the reader makes of it.
 *
 * @typedef {object} Taken
 * @property {(event: { id: string, type: string, data: string }) => void} onEvent
 * @property {(reset: Reset) => void} onReset
 * @property {(state: State, gaveUp: boolean) => void} onOver it goes no further; `gaveUp`: trying
 *   again may help
 */

/** What is kept while something is fetched; what there is more is fetched too. */
const MOST_HELD = 1000;

export class CatchUp {
  #url;
  #options;
  #taken;
  /** @type {string | null} */
  #place;
  /** Whether the server has not judged our position yet. */
  #isNew = true;
  /** @type {Stream | null} */
  #stream = null;
  /** Told, and not taken yet. @type {Step[]} */
  #held = [];
  /** Fetches in a row that brought nothing. */
  #vain = 0;
  /** Until the next fetch. @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {string | URL} url
   * @param {Options} options
   * @param {Taken} taken
   */
  constructor(url, options, taken) {
    this.#url = url;
    this.#options = options;
    this.#taken = taken;
    this.#place = options.cursor ?? null;
  }

  get cursor() {
    return this.#stream?.cursor ?? this.#place;
  }

  /** Go on from `cursor`, where a stream of our own had come to. @param {string} cursor */
  standAt(cursor) {
    this.#place = cursor;
    this.#isNew = false;
  }

  /** Take a step, now or when what lacks before it is there. @param {Step} step */
  tell(step) {
    this.#held.push(step);
    if (this.#held.length > MOST_HELD) this.#held.shift();
    this.#take();
  }

  /** Try a fetch that failed again, unless it is too soon for that: then only if `isWanted`. */
  retry(isWanted = false) {
    const stream = this.#stream;
    if (stream && (isWanted || Date.now() >= stream.notBefore)) stream.reconnect();
  }

  /** Forget what was told; the position stays, for the server to judge. */
  stop() {
    this.#held = [];
    this.#isNew = true;
    this.#endFetch();
  }

  #take() {
    while (!this.#stream && this.#timer === undefined && this.#held[0]) {
      const { from, to, event, reset, isLast } = this.#held[0];
      const isPast = to === null || this.#isAt(to);
      if (this.#isNew || !(isPast || reset || this.#isAt(from))) return this.#fetch();
      this.#held.shift();
      if (reset) {
        this.#fetch(); // the server says what that means for our position
      } else if (!isPast) {
        const hadIt = !event || isBehind(this.#place, event.id) === true;
        this.#place = furthest(this.#place ?? "", to);
        if (!hadIt) this.#taken.onEvent(event);
      }
      if (isLast && !this.#held.length) this.#taken.onOver({ name: "ended" }, false);
    }
  }

  /** Whether we are there or beyond. @param {string | null} cursor */
  #isAt(cursor) {
    if (cursor === null || cursor === this.#place) return cursor !== null;
    return isBehind(this.#place, cursor.replace("~", "")) === true;
  }

  /** Where it was in vain, as a replica may be late, not at once again. */
  #fetch() {
    const wait = this.#vain ? backOff(this.#vain, Math.random()) : 0;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#start();
    }, wait);
  }

  /** Poll once: a stream that may not connect does that first. */
  #start() {
    const cursor = this.#place;
    let wasTried = false;
    const { onEvent, onReset, onOver } = this.#taken;
    const { onOpen, onBeat, ...options } = this.#options;
    this.#stream = new Stream(this.#url, {
      ...options,
      ...(cursor !== null && { cursor }),
      realtime: false,
      onEvent,
      onReset,
      onState: (state) => {
        if (state.name === "polling") this.#fetched(cursor);
        else if (state.name === "reconnecting") wasTried = true;
        else if (state.name !== "connecting") onOver(state, wasTried);
      },
    });
  }

  /** @param {string | null} before */
  #fetched(before) {
    this.#endFetch();
    this.#isNew = false;
    this.#vain = this.#place === before ? this.#vain + 1 : 0;
    this.#take();
    if (this.#held.length === 0) this.#vain = 0;
  }

  #endFetch() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const stream = this.#stream;
    this.#stream = null;
    if (stream?.cursor) this.#place = stream.cursor;
    stream?.close();
  }
}
