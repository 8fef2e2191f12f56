/**
 * A log as plain text, all of it: what a page no longer keeps is read again from the server.
 */

import { request } from "../site/api.js";
import { StreamEvent } from "../lastevent/follower.js";
import { plain } from "./ansi.js";
import { LogLines } from "./lines.js";
import { timeLabel } from "./times.js";

/** @import { Times } from "./times.js" */

/**
 * Where a log comes from. `url` serves it as JSON too; `write` makes lines of an event; `cursor` is
 * how far the page has read.
 *
 * @typedef {object} Origin
 * @property {string} url
 * @property {(lines: LogLines, event: StreamEvent) => void} write
 * @property {() => string | null} cursor
 */

const PAGE = 1000;
/** The same address serves an event stream. */
const JSON_FACE = { Accept: "application/json" };
/** What a browser can hold as one text, and then some to spare. */
const MOST_CHARACTERS = 256 * 1024 * 1024;
const GONE = "Earlier lines are no longer kept by the server.";

/**
 * The text of a log, its lines from the first on, as far as the page has read it.
 *
 * @param {LogLines} kept what the page has of it
 * @param {Origin | null} origin null: there is no more than that
 * @param {Times} times
 * @returns {Promise<string>}
 */
export async function fullText(kept, origin, times) {
  const lines = kept.dropped && origin ? await history(origin) : kept;
  /** @type {string[]} */
  const texts = [];
  /** Where each line is: one of another channel may stand before its rest. */
  const places = new Map();
  for (const row of lines.rows) {
    const text = plain(row.text);
    const place = row.continued ? places.get(row.number) : undefined;
    if (place !== undefined) texts[place] += text;
    else {
      const label = timeLabel(times, row.time, lines.began);
      places.set(row.number, texts.push(label ? `${label} ${text}` : text) - 1);
    }
  }
  return texts.map((text) => `${text}\n`).join("");
}

/** Read a log from its beginning to where the page is. @param {Origin} origin */
async function history({ url, write, cursor }) {
  const until = cursor();
  const lines = new LogLines(Infinity, Infinity);
  let after = "";
  let characters = 0;
  for (;;) {
    const query = new URLSearchParams(after ? { after } : { from: "start" });
    const page = await request("GET", `${url}?${query}&limit=${PAGE}`, undefined, JSON_FACE);
    if (page.truncated) lines.note("gap", GONE);
    for (const { id, type, data } of page.events) {
      characters += data.length;
      if (characters > MOST_CHARACTERS) throw new Error("The log is too long for a browser.");
      write(lines, new StreamEvent(id, type, data));
      if (id === until) return lines;
    }
    // The position may be that of an event which is none of the log's, or gone by now.
    if (page.events.length === 0 || page.cursor === until || page.closed) return lines;
    after = page.cursor;
  }
}
