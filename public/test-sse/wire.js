/**
 * What comes over the wire, before the client makes anything of it: a fetch that tells of each
 * response and of each event in it, with times and sizes.
 *
 * All times are `performance.now()`, in ms.
 */

import { createParser } from "../vendor/eventsource-parser/index.js";

/**
 * How a response ended: as it said it would (`planned`, `closed`, `denied`, `trouble`), by a cut,
 * given up by the page for its silence, refused before its first event, or left.
 *
 * @typedef {"planned" | "closed" | "denied" | "trouble"
 *   | "cut" | "silent" | "refused" | "left"} End
 */

/**
 * One response. `cursor` is what was asked for with it; `answered` is when its headers came,
 * `first` its first bytes, `live` when all there was had been sent; `fields` is what `open` said.
 *
 * @typedef {object} Leg
 * @property {number} number from 1 on
 * @property {string | null} cursor
 * @property {number} requested
 * @property {number | null} answered
 * @property {number | null} first
 * @property {number | null} opened
 * @property {number | null} live
 * @property {number | null} ended
 * @property {End | null} end
 * @property {number} status
 * @property {string} detail
 * @property {number} bytes
 * @property {Record<string, unknown>} fields
 * @property {Sign[]} signs
 * @property {boolean} isAsked it was asked to misbehave
 * @property {boolean} hasHeard and a live event of it said so
 */

/**
 * Something live whose own time is known: a heartbeat, by the server's clock (Unix ms), or a
 * number, by this page's. `wall` is when it came, in Unix ms.
 *
 * @typedef {{ kind: "beat" | "number", at: number, wall: number, origin: number }} Sign
 */

/**
 * One event as it came; `gap` is the time since the one before it, `size` in bytes.
 *
 * @typedef {{ leg: number, at: number, gap: number | null, id: string, type: string, size: number,
 *   data: string }} RawEvent
 */

const STREAM = "text/event-stream";
/** Of responses that are remembered; a trial with more than that shows its newest. */
const MOST_LEGS = 300;
const MOST_SIGNS = 2000;
/** @type {Record<string, End>} */
const ENDS = { rotate: "planned", end: "closed", denied: "denied", error: "trouble" };

export class Wire {
  /** The newest last. @type {Leg[]} */
  legs = [];
  count = 0;
  #onEvent;
  #sentAt;
  /** @type {number | null} */
  #last = null;

  /**
   * @param {(event: RawEvent, leg: Leg) => void} onEvent hears of each event
   * @param {(data: string) => number | null} sentAt when the number in an event was sent
   */
  constructor(onEvent, sentAt) {
    this.#onEvent = onEvent;
    this.#sentAt = sentAt;
  }

  /** The present response, or the last one. */
  get leg() {
    return this.legs.at(-1) ?? null;
  }

  /** To be used in the place of the global one. @type {typeof fetch} */
  fetch = async (input, init = {}) => {
    const headers = new Headers(init.headers);
    if (headers.get("accept") !== STREAM) return fetch(input, init);
    const leg = this.#begin(headers.get("last-event-id"));
    const { signal } = init;
    try {
      const response = await fetch(input, init);
      leg.answered = performance.now();
      leg.status = response.status;
      if (response.status !== 200 || !response.body) {
        this.#over(leg, "refused");
        return response;
      }
      return new Response(this.#heard(response.body, leg, signal), response);
    } catch (error) {
      this.#broken(leg, signal, error);
      throw error;
    }
  };

  /** @param {string | null} cursor @returns {Leg} */
  #begin(cursor) {
    const requested = performance.now();
    const none = { answered: null, first: null, opened: null, live: null, ended: null, end: null };
    const empty = { status: 0, detail: "", bytes: 0, fields: {}, signs: [] };
    const fault = { isAsked: false, hasHeard: false };
    const leg = { number: (this.count += 1), cursor, requested, ...none, ...empty, ...fault };
    this.legs.push(leg);
    if (this.legs.length > MOST_LEGS) this.legs.shift();
    return leg;
  }

  /**
   * The same bytes, read when they are asked for: what the client never got was not heard either.
   *
   * @param {ReadableStream<Uint8Array>} body
   * @param {Leg} leg
   * @param {AbortSignal | null | undefined} signal
   */
  #heard(body, leg, signal) {
    const reader = body.getReader();
    const take = this.#taker(leg);
    return new ReadableStream(
      {
        pull: async (controller) => {
          try {
            const { done, value } = await reader.read();
            if (done) {
              this.#over(leg, "cut");
              controller.close();
              return;
            }
            take(value);
            controller.enqueue(value);
          } catch (error) {
            this.#broken(leg, signal, error);
            throw error;
          }
        },
        cancel: (reason) => {
          this.#over(leg, "left");
          return reader.cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** @param {Leg} leg */
  #taker(leg) {
    let at = 0;
    let size = 0;
    let unread = "";
    const text = new TextDecoder();
    const bytes = new TextEncoder();
    const parser = createParser({
      onEvent: ({ id = "", event = "message", data }) => {
        this.#event(leg, at, id, event, data, size);
      },
      onRetry: (ms) => this.#event(leg, at, "", "retry", `${ms} ms`, size),
    });
    return (/** @type {Uint8Array} */ piece) => {
      at = performance.now();
      leg.first ??= at;
      leg.bytes += piece.byteLength;
      unread += text.decode(piece, { stream: true });
      // Block by block, so that the size of each is known.
      for (let end; (end = unread.indexOf("\n\n")) >= 0; ) {
        const block = unread.slice(0, end + 2);
        unread = unread.slice(end + 2);
        size = bytes.encode(block).byteLength;
        parser.feed(block);
      }
    };
  }

  /**
   * @param {Leg} leg
   * @param {number} at
   * @param {string} id
   * @param {string} type
   * @param {string} data
   * @param {number} size
   */
  #event(leg, at, id, type, data, size) {
    const gap = this.#last === null ? null : at - this.#last;
    this.#last = at;
    const isLive = leg.live !== null;
    if (type === "stream") this.#control(leg, at, read(data));
    else if (type === "heartbeat") this.#sign(leg, "beat", at, read(data)["timestamp"]);
    else if (type === "fault" && isLive) leg.isAsked = leg.hasHeard = true;
    else if (type === "number" && isLive) this.#sign(leg, "number", at, this.#sentAt(data));
    this.#onEvent({ leg: leg.number, at, gap, id, type, size, data }, leg);
  }

  /**
   * @param {Leg} leg
   * @param {number} at
   * @param {Record<string, unknown>} fields
   */
  #control(leg, at, fields) {
    const { state } = fields;
    if (state === "open") {
      leg.opened = at;
      leg.fields = fields;
    } else if (state === "live") leg.live ??= at;
    const end = ENDS[String(state)];
    if (end) this.#over(leg, end);
  }

  /**
   * @param {Leg} leg
   * @param {Sign["kind"]} kind
   * @param {number} at
   * @param {unknown} origin
   */
  #sign(leg, kind, at, origin) {
    // What a response does that was asked to misbehave says nothing of the way.
    if (leg.isAsked || typeof origin !== "number" || leg.signs.length >= MOST_SIGNS) return;
    leg.signs.push({ kind, at, wall: Date.now(), origin });
  }

  /**
   * @param {Leg} leg
   * @param {AbortSignal | null | undefined} signal
   * @param {unknown} error
   */
  #broken(leg, signal, error) {
    const cause = signal?.aborted ? signal.reason : error;
    leg.detail = cause instanceof Error ? cause.message : String(cause);
    if (!signal?.aborted) this.#over(leg, "cut");
    else this.#over(leg, cause?.name === "AbortError" ? "left" : "silent");
  }

  /**
   * @param {Leg} leg
   * @param {End} end the first that is told counts
   */
  #over(leg, end) {
    leg.end ??= end;
    leg.ended ??= performance.now();
  }
}

/** @param {string} data @returns {Record<string, unknown>} */
function read(data) {
  try {
    return Object(JSON.parse(data));
  } catch {
    return {};
  }
}
