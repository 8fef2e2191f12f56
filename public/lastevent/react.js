/**
 * React hooks: a stream, and the four uses of streams that pages know best.
 *
 *     import { useStream } from "lastevent/react";
 *
 *     const { events, state } = useStream("/api/streams/hello");
 *
 * Each follows while its component is mounted. What comes within a frame is one render; callbacks
 * may be others in each render. React is the application's own, 18 or newer.
 */

export { useProductImportProgress } from "./react/job.js";
export { usePreviewLogs } from "./react/logs.js";
export { useSSE } from "./react/messages.js";
export { useStream } from "./react/stream.js";
export { useSSEUpdates } from "./react/updates.js";
