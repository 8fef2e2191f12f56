/**
 * The transport: one leg, as Server-Sent Events over fetch.
 *
 * fetch, unlike a native EventSource, sees statuses and headers, and can tell a planned end from a
 * cut. Another transport (polling, a WebSocket) is another function of the same form.
 */

import { createParser } from "../vendor/eventsource-parser/index.js";

/** @import { Message } from "./follower.js" */

/**
 * What a transport is asked for. It tells of each piece that arrives by `onBytes`, of each message
 * by `onMessage`, and stops once `isOver()`: the leg has said that it is.
 *
 * @typedef {object} Leg
 * @property {string} url
 * @property {string | null} cursor
 * @property {string | null} token
 * @property {AbortSignal} signal ends it at any time
 * @property {() => void} onBytes
 * @property {(message: Message) => void} onMessage
 * @property {() => boolean} isOver
 */

/**
 * How the server answered: `detail` says why not, where the status is no success; `retryAfter` is
 * what it asked for in ms, 0 for nothing.
 *
 * @typedef {{ status: number, detail: string, retryAfter: number }} Answer
 */

/**
 * Carries one leg. Resolves when it is over, or refused; rejects when it broke: with TooLarge if
 * trying again is no use.
 *
 * @typedef {(leg: Leg) => Promise<Answer>} Transport
 */

const LARGEST_EVENT = 4 * 1024 * 1024;
const LARGEST_PROBLEM = 8192;
const LONGEST_DETAIL = 300;
/** How long after a planned end the last bytes may take, so that the connection is kept. */
const DRAIN = 250;

/** An event that is larger than the client takes. */
export class TooLarge extends Error {}

/**
 * @param {typeof fetch} fetcher
 * @returns {Transport}
 */
export function serverSentEvents(fetcher) {
  return async (leg) => {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (leg.cursor) headers["Last-Event-ID"] = leg.cursor;
    if (leg.token) headers["Authorization"] = `Bearer ${leg.token}`;
    const response = await fetcher(leg.url, { headers, signal: leg.signal, cache: "no-store" });
    leg.onBytes();
    if (response.status !== 200) {
      const detail = await problem(response);
      return { status: response.status, detail, retryAfter: retryAfter(response.headers) };
    }
    const type = response.headers.get("content-type") ?? "";
    if (!response.body || !/^text\/event-stream\b/i.test(type)) {
      await response.body?.cancel();
      throw new Error(`the server sent ${type || "nothing"}, no event stream`);
    }
    await read(response.body, leg);
    return { status: 200, detail: "", retryAfter: 0 };
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

/**
 * Why a request was refused: the detail of a problem document (RFC 9457), else the status.
 *
 * @param {Response} response
 */
async function problem(response) {
  const otherwise = `the server answered ${response.status}`;
  if (!/json/.test(response.headers.get("content-type") ?? "") || !response.body) {
    await response.body?.cancel();
    return otherwise;
  }
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (text.length < LARGEST_PROBLEM) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  reader.cancel().catch(() => {});
  try {
    const { detail, title } = JSON.parse(text);
    return String(detail ?? title ?? otherwise).slice(0, LONGEST_DETAIL);
  } catch {
    return otherwise;
  }
}

/**
 * `Retry-After` in ms: seconds, or a date (RFC 9110 §10.2.3); 0 if there is none.
 *
 * @param {Headers} headers
 */
function retryAfter(headers) {
  const text = headers.get("retry-after") ?? "";
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return wait > 0 ? wait : 0;
}
