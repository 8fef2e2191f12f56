/**
 * How pages follow a stream: as the reader prefers, by one connection for all tabs, with the
 * measurements that a page allows, and traces in the console for who wants them.
 */

import { Beacons } from "../lastevent/beacons.js";
import { preferences } from "../lastevent/preferences.js";
import { SharedStream } from "../lastevent/tabs.js";
import { traced } from "../lastevent/trace.js";
import { subject } from "./session.js";

/** @import { Options, State } from "../lastevent.js" */
/** @import { StreamEvent } from "../lastevent/follower.js" */

const BEACONS = "/api/metrics/beacon";

/**
 * Follow the stream at `url` as the reader prefers; what `options` say of `realtime` and `strategy`
 * goes before that. With `sentAt`, which says when an event was sent (Unix ms, null: unknown), the
 * server is told how late events come, and how the connection does.
 *
 * @param {string} url
 * @param {Options & { sentAt?: (event: StreamEvent) => number | null }} options
 */
export function follow(url, options) {
  return new Live(url, options);
}

/** A stream that begins anew, where it is, when what the reader prefers has changed. */
class Live {
  #url;
  /** @type {Options} */
  #options;
  #stopHearing;
  /** @type {Beacons | null} */
  #beacons = null;
  #closed = false;
  #present = "";
  /** @type {SharedStream | null} */
  #stream = null;
  /** What is told of until there is a stream again. */
  #before = {
    state: /** @type {State} */ ({ name: "connecting" }),
    cursor: /** @type {string | null} */ (null),
    counts: none(),
    repeated: 0,
    notBefore: 0,
  };

  /**
   * @param {string} url
   * @param {Options & { sentAt?: (event: StreamEvent) => number | null }} options
   */
  constructor(url, { sentAt, ...options }) {
    this.#url = url;
    this.#options = traced(url, options, () => preferences.get().trace);
    this.#before.cursor = options.cursor ?? null;
    if (sentAt) {
      this.#beacons = new Beacons(BEACONS, location.pathname, sentAt);
      this.#options = this.#beacons.measure(this.#options);
    }
    this.#stopHearing = preferences.subscribe(() => this.#begin());
    void this.#begin();
  }

  /** @returns {State} */
  get state() {
    return this.#stream?.state ?? this.#before.state;
  }

  get cursor() {
    return this.#stream?.cursor ?? this.#before.cursor;
  }

  get counts() {
    const { legs, plannedEnds, cuts, polls } = this.#stream?.counts ?? none();
    const before = this.#before.counts;
    return {
      legs: before.legs + legs,
      plannedEnds: before.plannedEnds + plannedEnds,
      cuts: before.cuts + cuts,
      polls: before.polls + polls,
    };
  }

  get repeated() {
    return this.#before.repeated + (this.#stream?.repeated ?? 0);
  }

  /** Until when the server asked to stay away, in Unix ms. */
  get notBefore() {
    return this.#stream?.notBefore ?? this.#before.notBefore;
  }

  /** Whether the connection is this tab's. */
  get leads() {
    return this.#stream?.leads ?? false;
  }

  /** Try at once, whichever tab has the connection. */
  reconnect() {
    this.#stream?.reconnect();
  }

  /** End it for good. Nothing is called afterwards. */
  close() {
    this.#closed = true;
    this.#stopHearing();
    this.#pause();
    this.#before.state = { name: "disconnected", reason: "closed" };
    this.#beacons?.close();
  }

  /** End the stream, and keep what is known of it. */
  #pause() {
    const { state, cursor, counts, repeated, notBefore } = this;
    this.#before = { state, cursor, counts, repeated, notBefore };
    this.#stream?.close();
    this.#stream = null;
  }

  async #begin() {
    const { realtime, strategy } = preferences.get();
    const wanted = `${realtime} ${strategy}`;
    if (wanted === this.#present || this.state.name === "ended") return;
    this.#present = wanted;
    this.#pause();
    const reader = await subject();
    if (this.#closed || wanted !== this.#present) return;
    const { cursor, notBefore } = this.#before;
    this.#stream = new SharedStream(this.#url, {
      ...{ realtime, strategy, subject: reader, notBefore },
      ...this.#options,
      ...(cursor !== null && { cursor }),
    });
    this.#beacons?.watch(this.#stream);
  }
}

function none() {
  return { legs: 0, plannedEnds: 0, cuts: 0, polls: 0 };
}
