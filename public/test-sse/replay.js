/** Reads a trial anew from a cursor, to see that exactly the rest comes. */

import { serverSentEvents } from "../lastevent/sse.js";
import { numberIn } from "./sequence.js";

const LIMIT = 20_000;

/**
 * The numbers that follow a cursor, up to where the server says that there are no more for now.
 * Throws an Error that says what went wrong instead.
 *
 * @param {string} url
 * @param {string | null} cursor null: from the start
 */
export async function replay(url, cursor) {
  /** @type {number[]} */
  const numbers = [];
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), LIMIT);
  let isDone = false;
  try {
    const { status, detail } = await serverSentEvents(fetch.bind(globalThis))({
      url: new URL(url, location.href).href,
      cursor,
      token: null,
      signal: abort.signal,
      onBytes() {},
      onMessage({ type, data }) {
        if (isDone) return;
        const number = type === "number" ? numberIn(data) : null;
        if (number !== null) numbers.push(number);
        if (type !== "stream" || !data.includes('"state":"live"')) return;
        isDone = true;
        abort.abort();
      },
      isOver: () => isDone,
    });
    if (status !== 200) throw new Error(detail || `The server answered ${status}.`);
  } catch (error) {
    if (!isDone && abort.signal.aborted) throw new Error(`Nothing was whole in ${LIMIT / 1000} s.`);
    if (!isDone) throw error;
  } finally {
    clearTimeout(timer);
  }
  if (!isDone) throw new Error("The response ended before everything had been sent.");
  return numbers;
}
