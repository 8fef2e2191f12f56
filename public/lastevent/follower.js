/**
 * What a client makes of a stream's messages, as decisions without IO. The Python client's
 * follower decides the same.
 *
 * A follower outlives the legs: it keeps the position, passes on what is new, and says after each
 * leg how long to stay away.
 *
 *     begin ──► take, take, … ──► over, or cut ──► pause ──► begin
 *
 * How a leg counts:
 *
 *     ended in rotate           no failure; the count of failures is back to zero
 *     moved the position        likewise, and whatever ended it is the first failure after that
 *     heard heartbeats only     counts neither way
 *     ended in error            a failure
 *     brought nothing at all    a failure
 *
 * All times are in ms.
 */

import { isBehind } from "./position.js";
import { LONGEST_WISH } from "./transport.js";

/**
 * One message as it came over the wire. `id` is the last one that the leg has named, which may be an
 * earlier message's; undefined before the first.
 *
 * @typedef {{ id: string | undefined, type: string, data: string }} Message
 */

/**
 * What a leg says as it opens. `trimmed`: the stream's beginning was gone when we came without a
 * cursor; all of it in `fields`.
 *
 * @typedef {{ trimmed: boolean, fields: Record<string, unknown> }} Opening
 */

/**
 * Events are lost: those after `from` (null: from the stream's beginning on) up to `to`.
 *
 * @typedef {{ from: string | null, to: string }} Reset
 */

/** How soon to come back after failures. @typedef {"fast" | "gentle"} Strategy */

const END = /^(rotate|end|denied|error)$/;
/** The first pause after a failure and the longest, in ms. */
const STRATEGIES = { fast: [1000, 30_000], gentle: [3000, 60_000] };
/** A whole answer is waited for this long at most; gateways give up after about 30 s. */
const LONGEST_HOLD = 60_000;
/** The pause after a planned end that names none. */
const ORDINARY_RETRY = 1000;
const EMPTY_LEGS = 3;
const EMPTY_LEG = 1000;

/** One event of the stream. */
export class StreamEvent {
  /**
   * @param {string} id
   * @param {string} type
   * @param {string} data
   */
  constructor(id, type, data) {
    this.id = id;
    this.type = type;
    this.data = data;
  }

  /** `data` read as JSON; throws a SyntaxError if it is none. @returns {any} */
  json() {
    return JSON.parse(this.data);
  }
}

/**
 * How long to stay away after `failures` in a row: doubling from 1 s to 30 s (`gentle`: from 3 s to
 * 60 s), and drawn from zero on, so that clients that were cut together do not return together.
 *
 * @param {number} failures
 * @param {number} chance in [0, 1)
 * @param {Strategy} [strategy]
 */
export function backOff(failures, chance, strategy = "fast") {
  const [first, longest] = /** @type {[number, number]} */ (STRATEGIES[strategy]);
  return chance * Math.min(longest, first * 2 ** (Math.max(failures, 1) - 1));
}

export class Follower {
  /** How the present leg said that it is over; null if it did not. @type {string | null} */
  over = null;
  /** Whether this leg has moved the position, and so has proven the connection. */
  hasMoved = false;
  /** Failures in a row. */
  failures = 0;
  /** Events that came although they had come before. */
  repeated = 0;
  /** The server's heartbeat, as far as it is known. */
  heartbeat;
  /**
   * How long a platform that sends whole answers may keep one back, as the last leg said; 0 where
   * they come in pieces.
   */
  hold = 0;
  /** The last id reached; null before there is one. @type {string | null} */
  position;
  #ordinaryHeartbeat;
  #attempts;
  #strategy;
  #began = 0;
  #heard = false;
  #retry = ORDINARY_RETRY;
  #emptyLegs = 0;

  /**
   * @param {string | null} cursor
   * @param {number} heartbeat
   * @param {number} attempts
   * @param {Strategy} [strategy]
   */
  constructor(cursor, heartbeat, attempts, strategy = "fast") {
    this.position = cursor;
    this.heartbeat = this.#ordinaryHeartbeat = heartbeat;
    this.#attempts = attempts;
    this.#strategy = strategy;
  }

  /** Begin a leg. @param {number} now */
  begin(now) {
    this.#began = now;
    this.heartbeat = this.#ordinaryHeartbeat;
    this.over = null;
    this.hasMoved = this.#heard = false;
    this.#retry = ORDINARY_RETRY;
  }

  /** Whether this leg has shown that the connection works, beyond having been accepted. */
  get hasProven() {
    return this.hasMoved || this.#heard || this.over === "rotate";
  }

  /**
   * Take a message in; return what the caller must hear of it, null for nothing. The position has
   * moved when this returns. Messages after one that set `over` belong to nobody.
   *
   * @param {Message} message
   * @returns {{ event: StreamEvent } | { opening: Opening } | { reset: Reset }
   *   | { beat: number | null } | null}
   */
  take(message) {
    if (message.type === "heartbeat") {
      this.#heard = true;
      return { beat: duration(object(message.data)["timestamp"]) };
    }
    if (message.type === "stream") return this.#control(message);
    const id = message.id;
    if (id) {
      // Of a foreign id only this can be told: the one that this leg was resumed from may come
      // again, before any other.
      if (isBehind(this.position, id) ?? (!this.hasMoved && id === this.position)) {
        this.repeated += 1;
        return null;
      }
      this.position = id;
    }
    this.hasMoved = true;
    return { event: new StreamEvent(id ?? "", message.type, message.data) };
  }

  /** @param {Message} message */
  #control(message) {
    const fields = object(message.data);
    const state = fields["state"];
    if (state === "reset") return this.#reset(message, fields);
    if (state === "open") return this.#open(message, fields);
    if (message.id && !isBehind(this.position, message.id)) {
      this.hasMoved ||= message.id !== this.position;
      this.position = message.id;
    }
    if (typeof state === "string" && END.test(state)) {
      this.over = state;
      this.#retry = Math.min(duration(fields["retry_ms"]) ?? ORDINARY_RETRY, LONGEST_WISH);
    }
    return null;
  }

  /**
   * @param {Message} message
   * @param {Record<string, unknown>} fields
   */
  #open(message, fields) {
    // Its id repeats ours. Any other must not count: it might lie beyond a reset that we have not
    // read yet.
    if (this.position === null && message.id) this.position = message.id;
    const heartbeat = duration(fields["heartbeat"]);
    if (heartbeat) this.heartbeat = Math.min(heartbeat * 1000, LONGEST_WISH);
    const hold = fields["buffered"] === true ? (duration(fields["ends_in"]) ?? 0) : 0;
    this.hold = Math.min(hold * 1000, LONGEST_HOLD);
    return { opening: { trimmed: fields["trimmed"] === true, fields } };
  }

  /**
   * Go where the server goes on, which may lie before our position.
   *
   * @param {Message} message
   * @param {Record<string, unknown>} fields
   */
  #reset(message, fields) {
    const before = fields["from"] ?? this.position;
    const from = before === null ? null : String(before);
    const to = message.id || String(fields["to"] ?? "");
    if (to) this.position = to;
    this.hasMoved = true;
    return { reset: { from, to } };
  }

  /**
   * How long to stay away after this leg; null when it was one failure too many.
   *
   * @param {number} now
   * @param {number} chance in [0, 1)
   * @param {number} [atLeast] what a refusal asked for (`Retry-After`)
   * @returns {number | null}
   */
  pause(now, chance, atLeast = 0) {
    if (this.hasMoved) this.failures = 0;
    if (this.over === "rotate") {
      this.failures = 0;
      return this.#planned(now);
    }
    this.#emptyLegs = 0;
    const trouble = this.over === "error";
    if (trouble) atLeast = Math.max(atLeast, this.#retry);
    if (trouble || this.hasMoved || !this.#heard) this.failures += 1;
    if (this.failures > this.#attempts) return null;
    return Math.max(Math.min(atLeast, LONGEST_WISH), backOff(this.failures, chance, this.#strategy));
  }

  /**
   * To the letter, but for a server that turns everybody round at its door: three planned ends in
   * a row within a second each, and nothing read, cost at least a second from then on.
   *
   * @param {number} now
   */
  #planned(now) {
    const empty = !this.hasMoved && now - this.#began < EMPTY_LEG;
    this.#emptyLegs = empty ? this.#emptyLegs + 1 : 0;
    return this.#emptyLegs < EMPTY_LEGS ? this.#retry : Math.max(this.#retry, EMPTY_LEG);
  }
}

/**
 * @param {string} text
 * @returns {Record<string, unknown>} what the JSON object `text` holds; nothing for any other text
 */
export function object(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : {};
  } catch {
    return {};
  }
}

/**
 * @param {unknown} value
 * @returns {number | null} a number that can be waited for, null for anything else
 */
function duration(value) {
  return typeof value === "number" && value >= 0 && value < 1e13 ? value : null;
}
