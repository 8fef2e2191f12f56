/**
 * What a stream brought, kept over a reload, for pages that are made of events alone.
 *
 *     import { saved } from "/lastevent/saved.js";
 *
 *     const stream = new Stream(url, saved("feed", { subject: "clara", onEvent: … }));
 *
 * After a reload `onEvent` hears first of the events that were kept, and the stream goes on after
 * them. Events and cursor are written together, in one piece: a cursor without the content that it
 * belongs to would be a loss that nobody is told of.
 *
 * Kept is what one tab has seen (sessionStorage), of its newest events as many as the limits allow;
 * what was cut off at the other end is not asked for again.
 */

import { call } from "./call.js";
import { StreamEvent } from "./follower.js";

/** @import { Options } from "../lastevent.js" */
/** @import { Reset } from "./follower.js" */

/** @typedef {{ id: string, type: string, data: string } | { reset: Reset }} Entry */

/** Of the written form, which must be its reader's. */
const VERSION = 1;
const LIMIT = 500;
/** Characters of events at most; a tab has about five million. */
const MOST_CHARACTERS = 1_000_000;
/** How long events are gathered for one write, in ms. */
const GATHER = 200;

/**
 * Options that keep what comes, and begin with what was kept, for one stream of a page; its
 * `cursor` and `start` hold where nothing was.
 *
 * @template {Options & { subject?: string | null | undefined }} T
 * @param {string} name of what is kept, for pages that have several
 * @param {T} options `subject`: what another has seen is dropped
 * @param {number} [limit] events at most
 * @returns {T}
 */
export function saved(name, options, limit = LIMIT) {
  const key = `lastevent.saved.${name}`;
  const subject = options.subject ?? null;
  const entries = read(key, subject);
  const cursor = cursorOf(entries);
  let characters = entries.reduce((sum, entry) => sum + size(entry), 0);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const write = () => {
    clearTimeout(timer);
    timer = undefined;
    try {
      const content = { version: VERSION, subject, cursor: cursorOf(entries), entries };
      globalThis.sessionStorage?.setItem(key, JSON.stringify(content));
    } catch {
      // Refused, or full. What was written before is as good a beginning.
    }
  };
  /** @param {Entry} entry */
  const keep = (entry) => {
    entries.push(entry);
    characters += size(entry);
    while (entries.length > limit || (characters > MOST_CHARACTERS && entries.length > 1)) {
      characters -= size(/** @type {Entry} */ (entries.shift()));
    }
    timer ??= setTimeout(write, GATHER);
  };
  globalThis.addEventListener?.("pagehide", () => timer !== undefined && write());

  const { onEvent, onReset } = options;
  const kept = [...entries];
  // Not before the caller holds the stream, and before that begins.
  queueMicrotask(() => {
    for (const entry of kept) {
      if ("reset" in entry) call(onReset, entry.reset);
      else call(onEvent, new StreamEvent(entry.id, entry.type, entry.data));
    }
  });
  return {
    ...options,
    ...(cursor !== null && { cursor }),
    onEvent: (/** @type {StreamEvent} */ event) => {
      // Without an id an event has no place to go on after.
      if (event.id) keep({ id: event.id, type: event.type, data: event.data });
      onEvent?.(event);
    },
    ...(onReset && {
      onReset: (/** @type {Reset} */ reset) => {
        keep({ reset });
        onReset(reset);
      },
    }),
  };
}

/**
 * What was kept; nothing if it is not whole, or another's.
 *
 * @param {string} key
 * @param {string | null} subject
 * @returns {Entry[]}
 */
function read(key, subject) {
  try {
    const content = JSON.parse(globalThis.sessionStorage?.getItem(key) ?? "null");
    const isOurs = content?.version === VERSION && content.subject === subject;
    const entries = isOurs && Array.isArray(content.entries) ? content.entries : [];
    if (entries.every(isEntry) && content.cursor === cursorOf(entries)) return entries;
  } catch {
    // Not to be had, or no JSON.
  }
  return [];
}

/** @param {unknown} value @returns {value is Entry} */
function isEntry(value) {
  if (value === null || typeof value !== "object") return false;
  if ("reset" in value) return typeof (/** @type {any} */ (value.reset)?.to) === "string";
  const { id, type, data } = /** @type {Record<string, unknown>} */ (value);
  return [id, type, data].every((part) => typeof part === "string") && id !== "";
}

/** @param {Entry[]} entries */
function cursorOf(entries) {
  const last = entries.at(-1);
  if (!last) return null;
  return "reset" in last ? last.reset.to : last.id;
}

/** @param {Entry} entry */
function size(entry) {
  return "reset" in entry ? 100 : entry.data.length + entry.type.length + 100;
}
