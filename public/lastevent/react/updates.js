/** A merchant's updates, as a hook: docs/workflow.md says what they are. */

import { useConnection } from "./connection.js";
import { handling } from "./handlers.js";
import { useFolded } from "./stream.js";

/** @import { StreamEvent } from "../follower.js" */
/** @import { Folding, StoreOptions } from "./store.js" */

/** @typedef {(payload: any, event: StreamEvent) => void} Handler */

/**
 * @typedef {object} Handlers
 * @property {Handler} [onProgress] `{ poId, workflowId, stage, progress, message }`
 * @property {Handler} [onStage] `{ poId, workflowId, stage, status, message }`
 * @property {Handler} [onCompletion] `{ poId, workflowId, stage }` and what was found
 * @property {Handler} [onError] `{ poId, workflowId, stage, error }`
 */

/** All is told to the functions. @type {Folding<null>} */
const NOTHING = { initial: null, fold: () => null };

/**
 * Follow what a merchant is told of the orders; return how the connection does. `url` null: nothing
 * is followed.
 *
 * @param {StoreOptions & Handlers & { url?: string | URL | null }} [options]
 */
export function useSSEUpdates(options = {}) {
  const { url = "/api/realtime/events", ...others } = options;
  const { onProgress, onStage, onCompletion, onError, ...rest } = others;
  // Its type is not "error", which a native EventSource would take for its own.
  const handlers = { progress: onProgress, stage: onStage, completion: onCompletion };
  const followed = handling(rest, { ...handlers, failure: onError });
  return useConnection(useFolded(url, followed, NOTHING));
}
