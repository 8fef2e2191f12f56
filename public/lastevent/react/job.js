/** How far an external service's job is, as a hook: docs/jobs.md says what its events are. */

import { useMemo } from "react";
import { object } from "../follower.js";
import { after, UNHEARD } from "../job.js";
import { useConnection } from "./connection.js";
import { useFolded } from "./stream.js";

/** @import { Job } from "../job.js" */
/** @import { Folding, StoreOptions } from "./store.js" */

/** @type {Folding<Readonly<Job>>} */
const JOB = {
  initial: UNHEARD,
  fold: (job, events) =>
    events.reduce((now, { type, data }) => after(now, type, object(data)), job),
  lose: (job) => after(job, "gap", {}),
};
const HEARD = () => {};

/**
 * Follow a job; null: none. Returns what is known of it (`progress` in per cent, null as long as it
 * is not known; `state`; the service's own `status` and `message`; `error`; `result`; …) and how the
 * connection does. Where events are lost, `gaps` grows.
 *
 * @param {string | null} jobId
 * @param {StoreOptions & { base?: string }} [options] `base` is where jobs are, `/api/jobs`
 */
export function useProductImportProgress(jobId, { base = "/api/jobs", ...options } = {}) {
  const url = jobId === null ? null : `${base}/${encodeURIComponent(jobId)}/progress`;
  const stream = useFolded(url, { onReset: HEARD, ...options }, JOB);
  const connection = useConnection(stream);
  const { value: job } = stream;
  return useMemo(() => ({ ...job, connection }), [job, connection]);
}
