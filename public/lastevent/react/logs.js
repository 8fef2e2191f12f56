/** The log of a preview, as a hook: docs/http.md says what its events are. */

import { useMemo } from "react";
import { useConnection } from "./connection.js";
import { lost, NO_LOG, written } from "./lines.js";
import { useFolded } from "./stream.js";

/** @import { Log } from "./lines.js" */
/** @import { Folding, StoreOptions } from "./store.js" */

/** @type {Folding<Log>} */
const LOG = { initial: NO_LOG, fold: written, lose: lost };
const HEARD = () => {};

/**
 * Follow the log of a preview from its beginning; null: none. Returns the newest lines (`keep`, 5000
 * by default), how the run does, and how the connection does. What a terminal would show as colours
 * is in the text as it was written. Where events are lost, a line says so.
 *
 * @param {string | null} id
 * @param {StoreOptions & { base?: string }} [options] `base` is where previews are, `/api/previews`
 */
export function usePreviewLogs(id, { base = "/api/previews", ...options } = {}) {
  const url = id === null ? null : `${base}/${encodeURIComponent(id)}/logs/stream`;
  const stream = useFolded(url, { start: "start", onReset: HEARD, ...options }, LOG);
  const connection = useConnection(stream);
  const { lines, run } = stream.value;
  return useMemo(() => ({ lines, run, connection }), [lines, run, connection]);
}
