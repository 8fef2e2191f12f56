/** Any stream, as a hook. */

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { Store } from "./store.js";

/** @import { StreamEvent } from "../follower.js" */
/** @import { Folding, StoreOptions } from "./store.js" */

/** Events that are kept where the caller does not say how many. */
const KEEP = 500;

/** @type {Folding<readonly StreamEvent[]>} */
const LIST = {
  initial: Object.freeze([]),
  fold: (list, events, keep = KEEP) => (keep > 0 ? [...list, ...events].slice(-keep) : list),
};

/**
 * Follow the stream at `url` while the component is mounted; null: none.
 *
 * The options are those of a Stream, and
 *
 *     subject   who reads: tabs, and components, that follow the same for the same reader share one
 *               connection
 *     keep      how many events `events` holds at most, 500
 *
 * Another `url`, `subject`, `start` or `types` is another stream, and begins anew. Other `realtime`,
 * `strategy`, `attempts`, `poll` or `token` (a text) connect anew, where the stream stands.
 * Functions are taken from the last render, and none of them connects anew.
 *
 * @param {string | URL | null} url
 * @param {StoreOptions} [options]
 */
export function useStream(url, options = {}) {
  const folded = useFolded(url, options, LIST);
  return useMemo(() => {
    const { value: events, ...stream } = folded;
    return { events, ...stream };
  }, [folded]);
}

/**
 * Follow a stream, of which a value is made. `error` is why there is no connection and none is tried
 * for, in words; empty if there is none. `lastHeartbeat` is when it was heard, in Unix ms.
 *
 * @template T
 * @param {string | URL | null} url
 * @param {StoreOptions} options
 * @param {Folding<T>} folding the same in each render
 */
export function useFolded(url, options, folding) {
  const [store] = useState(() => new Store(folding));
  const { subject = null, start, types, realtime, strategy, attempts, poll, token } = options;
  const identity = url === null ? null : JSON.stringify([String(url), subject, start, types]);
  const secret = typeof token === "string" ? token : typeof token;
  const hears = options.onReset !== undefined;
  const manner = JSON.stringify([realtime, strategy, attempts, poll, secret, hears]);
  useEffect(() => {
    store.options = options;
  });
  useEffect(() => {
    if (identity === null) return;
    store.follow(identity, JSON.parse(identity)[0]);
    return () => store.pause();
  }, [store, identity, manner]);
  const got = useSyncExternalStore(store.subscribe, store.get, store.get);
  return useMemo(() => {
    // Until the effects have run, the store still tells of the stream before, maybe another reader's.
    const shown = got.identity === identity ? got : store.fresh(identity);
    const { value, last, state, cursor, beat: lastHeartbeat } = shown;
    const isOver = state.name === "disconnected" || state.name === "denied";
    const error = isOver ? state.reason : "";
    return { value, last, state, cursor, lastHeartbeat, error, reconnect: store.reconnect };
  }, [store, got, identity]);
}
