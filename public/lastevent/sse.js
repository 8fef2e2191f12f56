/**
 * One leg as Server-Sent Events over fetch, which, unlike a native EventSource, sees statuses and
 * headers, and can tell a planned end from a cut.
 */

import { createParser } from "../vendor/eventsource-parser/index.js";
import { contentType, DONE, refusal, request, TooLarge } from "./transport.js";

/** @import { Leg, Transport } from "./transport.js" */

const LARGEST_EVENT = 4 * 1024 * 1024;
/** How long after a planned end the last bytes may take, so that the connection is kept. */
const DRAIN = 250;

/**
 * @param {typeof fetch} fetcher
 * @returns {Transport}
 */
export function serverSentEvents(fetcher) {
  return async (leg) => {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (leg.cursor) headers["Last-Event-ID"] = leg.cursor;
    const response = await request(fetcher, leg, leg.url, headers);
    if (response.status !== 200) return refusal(response);
    const type = contentType(response);
    if (!response.body || !/^text\/event-stream\b/i.test(type)) {
      await response.body?.cancel();
      throw new Error(`the server sent ${type || "nothing"}, no event stream`);
    }
    await read(response.body, leg);
    return DONE;
  };
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {Leg} leg
 */
async function read(body, leg) {
  /** @type {Error | null} */
  let tooLarge = null;
  const parser = createParser({
    maxBufferSize: LARGEST_EVENT,
    onEvent: ({ id, event, data }) => leg.onMessage({ id, type: event ?? "message", data }),
    onError: (error) => {
      // The other kinds tell of fields that are not known, which readers pass over.
      if (error.type === "max-buffer-size-exceeded") tooLarge = new TooLarge(error.message);
    },
  });
  const text = new TextDecoder();
  const reader = body.getReader();
  try {
    while (!leg.isOver()) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(text.decode(value, { stream: true }));
      leg.onBytes(); // after the messages: one of them may have named the heartbeat
      if (tooLarge) throw tooLarge;
    }
    await drain(reader);
  } finally {
    // Of a body that was read to its end, or broke, this is a rejection or nothing.
    reader.cancel().catch(() => {});
  }
}

/** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
async function drain(reader) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const limit = new Promise((resolve) => (timer = setTimeout(resolve, DRAIN, { done: true })));
  try {
    while (!(await Promise.race([reader.read(), limit])).done);
  } catch {
    // The leg has said that it is over: how the connection ends is of no interest.
  }
  clearTimeout(timer);
}
