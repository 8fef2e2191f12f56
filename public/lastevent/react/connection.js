/** How a hook's connection does, in the words that pages show. */

import { useMemo } from "react";

/** @import { useStream } from "./stream.js" */

/**
 * `status` is `connecting`, `connected`, `reconnecting`, `polling`, `disconnected`, `ended`,
 * `denied`, or `idle` where nothing is followed. `attempts`: failures in a row, 0 where there is no
 * trouble; `retryIn`: seconds from when that was said until the next attempt. `lastHeartbeat`: when
 * it was heard, in Unix ms. `error` says why nothing is tried any more; empty otherwise.
 *
 * @typedef {object} Connection
 * @property {ReturnType<typeof useStream>["state"]["name"]} status
 * @property {boolean} isConnected
 * @property {number} attempts
 * @property {number} retryIn
 * @property {number | null} lastHeartbeat
 * @property {string} error
 * @property {() => void} reconnect tries at once
 */

/**
 * @param {Pick<ReturnType<typeof useStream>, "state" | "lastHeartbeat" | "error" | "reconnect">} of
 * @returns {Connection} the same one until it changes
 */
export function useConnection({ state, lastHeartbeat, error, reconnect }) {
  return useMemo(() => {
    const { name: status } = state;
    const attempts = "attempt" in state ? state.attempt : 0;
    const retryIn = "seconds" in state ? state.seconds : 0;
    const isConnected = status === "connected";
    return { status, isConnected, attempts, retryIn, lastHeartbeat, error, reconnect };
  }, [state, lastHeartbeat, error, reconnect]);
}
