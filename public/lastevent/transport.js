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

const LARGEST_PROBLEM = 8192;
const LONGEST_DETAIL = 300;

/** The answer of a leg that was carried out. */
export const DONE = { status: 200, detail: "", retryAfter: 0 };

/** What is larger than the client takes. */
export class TooLarge extends Error {}

/**
 * Ask for a leg in one of its forms.
 *
 * @param {typeof fetch} fetcher
 * @param {Leg} leg
 * @param {string} url
 * @param {Record<string, string>} headers
 */
export async function request(fetcher, leg, url, headers) {
  if (leg.token) headers["Authorization"] = `Bearer ${leg.token}`;
  const response = await fetcher(url, { headers, signal: leg.signal, cache: "no-store" });
  leg.onBytes();
  return response;
}

/**
 * What an answer says that is none of what was asked for.
 *
 * @param {Response} response
 * @returns {Promise<Answer>}
 */
export async function refusal(response) {
  const detail = await problem(response);
  return { status: response.status, detail, retryAfter: retryAfter(response.headers) };
}

/** @param {Response} response */
export function contentType(response) {
  return response.headers.get("content-type") ?? "";
}

/**
 * The text of an answer; throws TooLarge beyond `most` characters.
 *
 * @param {Response} response
 * @param {number} most
 * @param {() => void} [onBytes]
 */
export async function text(response, most, onBytes) {
  let read = "";
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  for (let piece; reader && !(piece = await reader.read()).done; ) {
    onBytes?.();
    read += decoder.decode(piece.value, { stream: true });
    if (read.length > most) {
      reader.cancel().catch(() => {});
      throw new TooLarge(`the server's answer is larger than ${most} characters`);
    }
  }
  return read;
}

/**
 * Why a request was refused: the detail of a problem document (RFC 9457), else the status.
 *
 * @param {Response} response
 */
async function problem(response) {
  try {
    const { detail, title } = JSON.parse(await text(response, LARGEST_PROBLEM));
    return String(detail ?? title).slice(0, LONGEST_DETAIL);
  } catch {
    return `the server answered ${response.status}`;
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
