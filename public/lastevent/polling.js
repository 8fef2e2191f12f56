/**
 * One leg as JSON: what came since the cursor, page by page, and no waiting for more. For networks
 * that let no stream through, and for readers who want none.
 */

import { DONE, request, text } from "./transport.js";

/** @import { Leg, Transport } from "./transport.js" */

/** Characters; the server's pages have 4 MB, but for an event that is larger by itself. */
const LARGEST_PAGE = 32 * 1024 * 1024;
/** Pages of one leg; there may be more, for the next. */
const MOST_PAGES = 20;

/**
 * @typedef {object} Page
 * @property {{ id: string, type: string, data: string }[]} events
 * @property {string} start
 * @property {string} cursor
 * @property {boolean} closed
 * @property {boolean} truncated
 */

/**
 * @param {typeof fetch} fetcher
 * @returns {Transport}
 */
export function polling(fetcher) {
  return async (leg) => {
    let { cursor } = leg;
    let isMore = true;
    /** @param {ReadableStreamDefaultReader<Uint8Array>} body */
    const read = async (body) => {
      /** @type {Page} */
      const page = JSON.parse(await text(body, LARGEST_PAGE, leg.onBytes));
      if (!Array.isArray(page?.events)) throw new Error("the server sent no page of events");
      take(leg, page, cursor);
      isMore = page.cursor !== cursor && page.events.length > 0;
      ({ cursor } = page);
    };
    let answer = DONE;
    for (let page = 0; isMore && answer === DONE && page < MOST_PAGES && !leg.isOver(); page += 1) {
      const url = new URL(leg.url);
      if (cursor) url.searchParams.set("after", cursor);
      answer = await request(fetcher, { ...leg, cursor: null }, url.href, "application/json", read);
    }
    return answer;
  };
}

/**
 * Tell of a page as an event stream would.
 *
 * @param {Leg} leg
 * @param {Page} page
 * @param {string | null} from
 */
function take(leg, { events, start, cursor, closed, truncated }, from) {
  const say = (/** @type {string} */ id, /** @type {object} */ fields) =>
    leg.onMessage({ id, type: "stream", data: JSON.stringify(fields) });
  if (truncated) say(start, { state: "reset", from, to: start });
  events.forEach(leg.onMessage);
  say(cursor, { state: closed ? "end" : "live" });
}
