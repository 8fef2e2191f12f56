/**
 * One leg as JSON: what came since the cursor, page by page, and no waiting for more. For networks
 * that let no stream through, and for readers who want none.
 */

import { contentType, DONE, refusal, request, text } from "./transport.js";

/** @import { Leg, Transport } from "./transport.js" */

/** Characters; the server's pages have 4 MB, but for an event that is larger by itself. */
const LARGEST_PAGE = 32 * 1024 * 1024;
/** Pages of one leg; there may be more, for the next. */
const MOST_PAGES = 20;

/**
 * @param {typeof fetch} fetcher
 * @returns {Transport}
 */
export function polling(fetcher) {
  return async (leg) => {
    let { cursor } = leg;
    for (let pages = 0; pages < MOST_PAGES && !leg.isOver(); pages += 1) {
      const url = new URL(leg.url);
      if (cursor) url.searchParams.set("after", cursor);
      const response = await request(fetcher, leg, url.href, { Accept: "application/json" });
      if (response.status !== 200) return refusal(response);
      const page = await read(response, leg);
      take(leg, page, cursor);
      if (page.cursor === cursor || page.events.length === 0) break;
      cursor = page.cursor;
    }
    return DONE;
  };
}

/**
 * @typedef {object} Page
 * @property {{ id: string, type: string, data: string }[]} events
 * @property {string} start
 * @property {string} cursor
 * @property {boolean} closed
 * @property {boolean} truncated
 */

/**
 * Tell of a page as an event stream would.
 *
 * @param {Leg} leg
 * @param {Page} page
 * @param {string | null} cursor
 */
function take(leg, { events, start, cursor: end, closed, truncated }, cursor) {
  if (truncated) say(leg, start, { state: "reset", from: cursor, to: start });
  for (const { id, type, data } of events) leg.onMessage({ id, type, data });
  say(leg, end, { state: closed ? "end" : "live" });
}

/**
 * @param {Leg} leg
 * @param {string} id
 * @param {object} fields
 */
function say(leg, id, fields) {
  leg.onMessage({ id, type: "stream", data: JSON.stringify(fields) });
}

/**
 * @param {Response} response
 * @param {Leg} leg
 * @returns {Promise<Page>}
 */
async function read(response, leg) {
  const type = contentType(response);
  if (!/^application\/json\b/i.test(type)) {
    await response.body?.cancel();
    throw new Error(`the server sent ${type || "nothing"}, no JSON`);
  }
  const page = JSON.parse(await text(response, LARGEST_PAGE, leg.onBytes));
  if (!Array.isArray(page?.events)) throw new Error("the server sent JSON that is no page of events");
  return page;
}
