/**
 * What a page tells of its streams: how late events came, and how the connections went.
 *
 *     import { Beacons } from "/lastevent/beacons.js";
 *
 *     const beacons = new Beacons("/api/metrics/beacon", "messages", (event) => event.json().time);
 *     const options = beacons.measure({ onEvent: … });
 *     beacons.watch(new Stream("/api/sse", options));
 *
 * An event's latency is from the time that it names to its arrival, by clocks that need not agree:
 * of the differences between the server's times and ours the smallest stands for no delay at all.
 * So a latency is what came on top of the fastest way that was seen.
 */

/** @import { Options, Stream } from "../lastevent.js" */
/** @import { StreamEvent } from "./follower.js" */

/** What is looked at of a stream; `leads` of one that tabs share. @typedef {Pick<Stream, "counts"
 * | "state"> & { leads?: boolean }} Counted */

/** How an event came. @typedef {"stream" | "polling"} Way */

/**
 * An event that came: by how much our clock was ahead of its time, and for how long the page had
 * been listening, both in ms.
 *
 * @typedef {{ ahead: number, heard: number }} Sample
 */

/** How often a page may send, in ms. */
const EVERY = 30_000;
/** Of more events, any is as likely to be among those that are sent. */
const MOST = 200;
/** What took longer, in ms, was not on its way: the page slept. */
const LATEST = 300_000;
/** For how long at least a difference of the clocks counts, in ms: they drift, and are set. */
const VALID = 600_000;

export class Beacons {
  #url;
  #page;
  #sentAt;
  /** @type {Counted | null} */
  #stream = null;
  /** The counts that were looked at last, and what was counted since the last beacon. */
  #seen = none();
  #counts = none();
  /** @type {Record<Way, { count: number, samples: Sample[] }>} */
  #events = { stream: { count: 0, samples: [] }, polling: { count: 0, samples: [] } };
  /** @type {number | null} */
  #listening = null;
  /** The smallest differences of two periods, the present one last. */
  #smallest = [Infinity, Infinity];
  #period = Date.now();
  #sent = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #stop = new AbortController();

  /**
   * @param {string} url where they are sent, of the page's own origin
   * @param {string} page what the page is called
   * @param {(event: StreamEvent) => number | null} sentAt an event's time in Unix ms; null for one
   *   that has none, or is none that was just sent
   */
  constructor(url, page, sentAt) {
    this.#url = url;
    this.#page = page;
    this.#sentAt = sentAt;
    const { signal } = this.#stop;
    globalThis.addEventListener?.("pagehide", () => this.#send(), { signal });
    globalThis.addEventListener?.("pageshow", () => (this.#listening &&= Date.now()), { signal });
  }

  /**
   * Options that measure, and do what these do.
   *
   * @template {Options} T
   * @param {T} options
   * @returns {T}
   */
  measure(options) {
    return {
      ...options,
      onEvent: (event) => {
        this.#measure(event);
        options.onEvent?.(event);
      },
      onState: (state) => {
        if (state.name === "connected" || state.name === "polling") this.#listening ??= Date.now();
        this.#count();
        options.onState?.(state);
      },
      onOpen: (opening) => {
        this.#count();
        options.onOpen?.(opening);
      },
      onBeat: (time) => {
        if (time !== null) this.#compare(Date.now() - time);
        options.onBeat?.(time);
      },
    };
  }

  /**
   * Count what this stream does from now on; the one before counts no more.
   *
   * @template {Counted} T
   * @param {T} stream
   * @returns {T}
   */
  watch(stream) {
    this.#stream = stream;
    this.#seen = { ...stream.counts };
    return stream;
  }

  /** Send what there is, and nothing afterwards. */
  close() {
    this.#send();
    this.#stop.abort();
    this.#stream = null;
    clearTimeout(this.#timer);
  }

  /** @param {StreamEvent} event */
  #measure(event) {
    const time = sentAt(this.#sentAt, event);
    if (time === null || this.#listening === null) return;
    const now = Date.now();
    this.#compare(now - time);
    const events = this.#events[this.#way];
    events.count += 1;
    const place = events.samples.length < MOST ? events.samples.length : chance(events.count);
    if (place < MOST) events.samples[place] = { ahead: now - time, heard: now - this.#listening };
    this.#sendSoon();
  }

  /** @returns {Way} */
  get #way() {
    return this.#stream?.state.name === "polling" ? "polling" : "stream";
  }

  /** @param {number} ahead */
  #compare(ahead) {
    if (Date.now() - this.#period >= VALID) {
      this.#period = Date.now();
      this.#smallest = [this.#smallest[1] ?? Infinity, Infinity];
    }
    this.#smallest[1] = Math.min(this.#smallest[1] ?? Infinity, ahead);
  }

  #count() {
    const { counts, leads = true } = this.#stream ?? { counts: this.#seen };
    const before = this.#seen;
    this.#seen = { ...counts };
    // The tab that has the connection tells of it.
    if (!leads) return;
    for (const name of /** @type {(keyof Stream["counts"])[]} */ (Object.keys(before))) {
      const more = Math.max(0, counts[name] - before[name]);
      this.#counts[name] += more;
      if (more) this.#sendSoon();
    }
  }

  #sendSoon() {
    if (this.#timer !== undefined || this.#stop.signal.aborted) return;
    const wait = Math.max(0, Math.min(this.#sent + EVERY - Date.now(), EVERY));
    // Not the first few by themselves: what comes next goes with them.
    this.#timer = setTimeout(() => this.#send(), this.#sent > 0 ? wait : EVERY);
  }

  #send() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const present = this.#way;
    for (const way of /** @type {Way[]} */ (["stream", "polling"])) {
      const latencies = this.#latencies(this.#events[way].samples);
      const counts = way === present ? this.#counts : none();
      const isEmpty = !latencies.length && Object.values(counts).every((count) => count === 0);
      if (isEmpty || !this.#post({ page: this.#page, transport: way, latencies, counts })) continue;
      this.#sent = Date.now();
      this.#events[way] = { count: 0, samples: [] };
      if (way === present) this.#counts = none();
    }
  }

  /** @param {object} beacon */
  #post(beacon) {
    const body = new Blob([JSON.stringify(beacon)], { type: "application/json" });
    return globalThis.navigator?.sendBeacon?.(this.#url, body) ?? false;
  }

  /** @param {Sample[]} samples */
  #latencies(samples) {
    const smallest = Math.min(...this.#smallest);
    const latencies = samples.flatMap(({ ahead, heard }) => {
      const latency = Math.round(ahead - smallest);
      // What was sent before we listened was history.
      return latency <= Math.min(heard, LATEST) ? [latency] : [];
    });
    return latencies;
  }
}

/**
 * @param {(event: StreamEvent) => number | null} of
 * @param {StreamEvent} event
 */
function sentAt(of, event) {
  try {
    const time = of(event);
    return typeof time === "number" && Number.isFinite(time) ? time : null;
  } catch {
    return null;
  }
}

/** @param {number} below */
function chance(below) {
  return Math.floor(Math.random() * below);
}

function none() {
  return { legs: 0, plannedEnds: 0, cuts: 0, polls: 0 };
}
