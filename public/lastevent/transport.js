/**
 * A transport carries one leg: `sse.js` as an event stream, `polling.js` as JSON. Another one (a
 * WebSocket) is another function of the same form.
 */

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

/** What a server may ask for at most, in ms; what it says beyond is cut to this. */
export const LONGEST_WISH = 3_600_000;
const LARGEST_PROBLEM = 8192;
const LONGEST_DETAIL = 300;

/** The answer of a leg that was carried out. @type {Answer} */
export const DONE = { status: 200, detail: "", retryAfter: 0 };

/** What is larger than the client takes. */
export class TooLarge extends Error {}

/**
 * Ask for a leg in one of its forms, and have it read.
 *
 * @param {typeof fetch} fetcher
 * @param {Leg} leg
 * @param {string} url
 * @param {string} type the form
 * @param {(body: ReadableStreamDefaultReader<Uint8Array>) => Promise<unknown>} read
 * @returns {Promise<Answer>} DONE if it was read
 */
export async function request(fetcher, leg, url, type, read) {
  const { cursor, token, signal } = leg;
  const headers = {
    Accept: type,
    ...(cursor && { "Last-Event-ID": cursor }),
    ...(token && { Authorization: `Bearer ${token}` }),
  };
  const response = await fetcher(url, { headers, signal, cache: "no-store" });
  leg.onBytes();
  const { status, body } = response;
  if (status !== 200) {
    return { status, detail: await problem(response), retryAfter: retryAfter(response.headers) };
  }
  const sent = response.headers.get("content-type") ?? "";
  if (!body || !sent.toLowerCase().startsWith(type)) {
    await body?.cancel();
    throw new Error(`the server sent ${sent || "nothing"}, not ${type}`);
  }
  await read(body.getReader());
  return DONE;
}

/**
 * The text of a body; throws TooLarge beyond `most` characters.
 *
 * @param {ReadableStreamDefaultReader<Uint8Array> | undefined} reader
 * @param {number} most
 * @param {() => void} [onBytes]
 */
export async function text(reader, most, onBytes) {
  let read = "";
  const decoder = new TextDecoder();
  for (let piece; reader && !(piece = await reader.read()).done; ) {
    onBytes?.();
    read += decoder.decode(piece.value, { stream: true });
    if (read.length > most) {
      reader.cancel().catch(() => {});
      throw new TooLarge("the answer is too large");
    }
  }
  return read;
}

/**
 * Why a request was refused: the detail of a problem document (RFC 9457), else the status.
 *
 * @param {Response} response
 */
async function problem({ body, status }) {
  try {
    const { detail, title } = JSON.parse(await text(body?.getReader(), LARGEST_PROBLEM));
    return String(detail ?? title).slice(0, LONGEST_DETAIL);
  } catch {
    return `the server answered ${status}`;
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
  return wait > 0 ? Math.min(wait, LONGEST_WISH) : 0;
}
