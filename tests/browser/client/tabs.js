/** What tabs have in common, where a test decides what happens: a browser, and a server. */

import { at, control, event, open, rotate } from "./wire.js";

/** Web Locks and BroadcastChannel of one browser. */
export class Browser {
  #held = new Map();
  #channels = new Set();

  /** Have the globals be this browser's. */
  install() {
    const browser = this;
    const locks = { request: (...given) => this.#request(...given) };
    Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
    globalThis.BroadcastChannel = class {
      onmessage = null;
      isMute = false;

      constructor(name) {
        this.name = name;
        browser.#channels.add(this);
      }

      postMessage(data) {
        if (this.isMute || !browser.#channels.has(this)) return;
        const copy = structuredClone(data);
        for (const channel of browser.#channels) {
          if (channel === this || channel.name !== this.name) continue;
          queueMicrotask(() => browser.#channels.has(channel) && channel.onmessage?.({ data: copy }));
        }
      }

      close() {
        browser.#channels.delete(this);
      }
    };
  }

  /** The channels that are open, the oldest first. */
  get channels() {
    return [...this.#channels];
  }

  async #request(name, { steal = false, signal }, callback) {
    const lock = this.#held.get(name) ?? { holder: null, queue: [] };
    this.#held.set(name, lock);
    return new Promise((resolve, reject) => {
      const request = { callback, resolve, reject };
      signal?.addEventListener("abort", () => {
        const place = lock.queue.indexOf(request);
        if (place < 0) return;
        lock.queue.splice(place, 1);
        reject(signal.reason);
      });
      if (steal) {
        lock.holder?.reject(new DOMException("stolen", "AbortError"));
        lock.holder = null;
        lock.queue.unshift(request);
      } else lock.queue.push(request);
      this.#grant(lock);
    });
  }

  #grant(lock) {
    if (lock.holder || lock.queue.length === 0) return;
    const request = (lock.holder = lock.queue.shift());
    queueMicrotask(async () => {
      await request.callback();
      request.resolve();
      if (lock.holder !== request) return;
      lock.holder = null;
      this.#grant(lock);
    });
  }
}

/** A log, as an event stream and as JSON. */
export class Server {
  events = [];
  legs = new Set();
  /** How many legs there were at the same time at most. */
  most = 0;
  asked = [];
  closed = false;
  /** So many of the newest events the JSON face does not have yet. */
  late = 0;
  /** What is answered to every request, if anything. */
  answer = null;

  publish() {
    const next = event(this.events.length + 1);
    this.events.push(next);
    for (const { leg } of this.legs) leg.onMessage(next);
  }

  transport = (leg) => {
    if (this.answer) return Promise.resolve(this.answer);
    return new Promise((resolve, reject) => {
      const one = { leg, end: resolve, cut: () => reject(new TypeError("network error")) };
      const close = () => this.legs.delete(one);
      leg.signal.addEventListener("abort", () => (close(), reject(leg.signal.reason)));
      leg.onMessage(open(0, { heartbeat: 15 }));
      leg.onBytes();
      for (const it of this.events.filter(({ id }) => id > (leg.cursor ?? at(0)))) leg.onMessage(it);
      leg.onMessage(control("live", this.cursor));
      this.legs.add(one);
      this.most = Math.max(this.most, this.legs.size);
    });
  };

  get cursor() {
    return this.events.at(-1)?.id ?? at(0);
  }

  /** Say that all is well, on every leg. */
  beat() {
    for (const { leg } of this.legs) {
      leg.onMessage({ id: undefined, type: "heartbeat", data: "{}" });
      leg.onBytes();
    }
  }

  /** End every leg as planned. */
  rotate(ms = 40) {
    for (const one of [...this.legs]) {
      this.legs.delete(one);
      one.leg.onMessage(rotate(this.events.length, ms));
      one.end({ status: 200, detail: "", retryAfter: 0 });
    }
  }

  cut() {
    for (const one of [...this.legs]) {
      this.legs.delete(one);
      one.cut();
    }
  }

  fetch = async (url) => {
    if (this.answer) throw new TypeError("network error");
    const after = new URL(url).searchParams.get("after") ?? at(0);
    this.asked.push(after);
    const known = this.events.slice(0, Math.max(0, this.events.length - this.late));
    const events = known.filter(({ id }) => id > after);
    const cursor = events.at(-1)?.id ?? after;
    return Response.json({ events, start: after, cursor, closed: this.closed, truncated: false });
  };
}
