/**
 * What a reader prefers, kept in the browser, the same in all its tabs.
 *
 *     import { preferences } from "/lastevent/preferences.js";
 *
 *     preferences.get().realtime;
 *     preferences.set({ strategy: "gentle" });
 *     const stop = preferences.subscribe((now) => …);
 *
 * Where the browser refuses to keep anything, they hold for as long as the page.
 */

/** @import { Strategy } from "./follower.js" */

/**
 * `realtime` and `strategy` are options of a stream; `sound` and `notifications` are for pages that
 * have them; `trace` is whether the console is told what streams do.
 *
 * @typedef {object} Preferences
 * @property {boolean} realtime
 * @property {Strategy} strategy
 * @property {boolean} sound
 * @property {boolean} notifications
 * @property {boolean} trace
 */

const KEY = "lastevent.preferences";
/** @type {Readonly<Preferences>} */
const ORDINARY = Object.freeze({
  realtime: true,
  strategy: "fast",
  sound: false,
  notifications: false,
  trace: false,
});
const NAMES = /** @type {(keyof Preferences)[]} */ (Object.keys(ORDINARY));

/** @type {Set<(now: Readonly<Preferences>) => void>} */
const subscribers = new Set();
let present = known(kept(), ORDINARY);

export const preferences = {
  /** @returns {Readonly<Preferences>} */
  get() {
    return present;
  },

  /**
   * Change some, here and in the other tabs. What is no preference, or no value of one, is left
   * out.
   *
   * @param {Partial<Preferences>} changes
   */
  set(changes) {
    // Another tab may have changed others, and its message may still be on the way.
    const next = known({ ...changes }, known(kept(), present));
    try {
      globalThis.localStorage?.setItem(KEY, JSON.stringify(next));
    } catch {
      // Refused, or full: it holds for this page.
    }
    become(next);
  },

  /**
   * Hear of each change, whichever tab made it, until the returned function is called.
   *
   * @param {(now: Readonly<Preferences>) => void} subscriber
   * @returns {() => void}
   */
  subscribe(subscriber) {
    subscribers.add(subscriber);
    return () => subscribers.delete(subscriber);
  },
};

/** What is kept; nothing if none is, or none may be had. @returns {Record<string, unknown>} */
function kept() {
  try {
    const value = JSON.parse(globalThis.localStorage?.getItem(KEY) ?? "{}");
    return value !== null && typeof value === "object" ? value : {};
  } catch {
    return {};
  }
}

/**
 * @param {Record<string, unknown>} wanted
 * @param {Readonly<Preferences>} base has what is not wanted, or wanted as no value of it
 * @returns {Readonly<Preferences>}
 */
function known({ realtime, strategy, sound, notifications, trace }, base) {
  return Object.freeze({
    realtime: typeof realtime === "boolean" ? realtime : base.realtime,
    strategy: strategy === "fast" || strategy === "gentle" ? strategy : base.strategy,
    sound: typeof sound === "boolean" ? sound : base.sound,
    notifications: typeof notifications === "boolean" ? notifications : base.notifications,
    trace: typeof trace === "boolean" ? trace : base.trace,
  });
}

/** @param {Readonly<Preferences>} next */
function become(next) {
  if (NAMES.every((name) => next[name] === present[name])) return;
  present = next;
  for (const subscriber of [...subscribers]) subscriber(present);
}

// Only other tabs' changes are told of; a null key is a storage that was cleared.
globalThis.addEventListener?.("storage", ({ key }) => {
  if (key === KEY || key === null) become(known(kept(), ORDINARY));
});
