/**
 * One leg as Server-Sent Events over fetch, which, unlike a native EventSource, sees statuses and
 * headers, and can tell a planned end from a cut.
 */

import { createParser } from "../vendor/eventsource-parser/index.js";
import { request, TooLarge } from "./transport.js";

/** @import { Leg, Transport } from "./transport.js" */

const LARGEST_EVENT = 4 * 1024 * 1024;
/** How long after a planned end the last bytes may take, so that the connection is kept. */
const DRAIN = 250;

/**
 * @param {typeof fetch} fetcher
 * @returns {Transport}
 */
export function serverSentEvents(fetcher) {
  return (leg) => request(fetcher, leg, leg.url, "text/event-stream", (body) => read(body, leg));
}

/**
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 * @param {Leg} leg
 */
async function read(reader, leg) {
  /** @type {string | undefined} */
  let id;
  const parser = createParser({
    maxBufferSize: LARGEST_EVENT,
    // It holds on until the next, and is told of without an event too (WHATWG HTML §9.2.6).
    onId: (next) => (id = next),
    onEvent: ({ event, data }) => leg.onMessage({ id, type: event ?? "message", data }),
    onError: (error) => {
      // The other kinds tell of fields that are not known, which readers pass over.
      if (error.type === "max-buffer-size-exceeded") throw new TooLarge(error.message);
    },
  });
  // The one BOM that goes is gone once the bytes are text: a second one is not the parser's.
  parser.feed("\n");
  const text = new TextDecoder();
  // Of a body that was read to its end, or broke, this is a rejection or nothing.
  const cancel = () => void reader.cancel().catch(() => {});
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  try {
    for (let piece; !(piece = await reader.read()).done; ) {
      parser.feed(text.decode(piece.value, { stream: true }));
      leg.onBytes(); // after the messages: one of them may have named the heartbeat
      if (leg.isOver()) timer ??= setTimeout(cancel, DRAIN);
    }
  } catch (error) {
    // Once the leg has said that it is over, how the connection ends is of no interest.
    if (!leg.isOver()) throw error;
  } finally {
    clearTimeout(timer);
    cancel();
  }
}
