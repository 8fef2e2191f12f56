/** What the page asks of the server: docs/messaging.md has the answers' form. */

import { request } from "../site/api.js";

/** @import { Message, Summary } from "./conversation.js" */
/** @import { Seen } from "./state.js" */
/** @import { Wish } from "./wanted.js" */

const API = "/api/messages";
/** Users that one question about presence may name. */
const MOST_ASKED = 50;

/** @typedef {{ sub: string, name: string | null, role: string | null }} Who */

/** @returns {Promise<Who>} */
export function who() {
  return request("GET", "/api/session");
}

/**
 * @param {string | null} before
 * @returns {Promise<{ conversations: Summary[], next: string | null, cursor: string }>}
 */
export function conversations(before) {
  return request("GET", before === null ? API : `${API}?before=${encodeURIComponent(before)}`);
}

/**
 * @param {string} conversation
 * @param {number | null} before the number of a message
 * @param {number} [limit]
 * @returns {Promise<{ conversation: Summary, messages: Message[], next: string | null }>}
 */
export function history(conversation, before, limit) {
  const query = new URLSearchParams({ conversation });
  if (before !== null) query.set("before", String(before));
  if (limit) query.set("limit", String(limit));
  return request("GET", `${API}?${query}`);
}

/**
 * @param {{ conversation: string } | { to: string }} where
 * @param {string} text
 * @param {string} clientMessageId
 * @returns {Promise<{ conversation: string, number: number }>}
 */
export function send(where, text, clientMessageId) {
  return request("POST", `${API}/send`, { ...where, text, clientMessageId });
}

/**
 * @param {string} id
 * @param {string} text
 * @returns {Promise<Message>}
 */
export function edit(id, text) {
  return request("PATCH", `${API}/${encodeURIComponent(id)}`, { text });
}

/** @param {string} id @returns {Promise<null>} */
export function remove(id) {
  return request("DELETE", `${API}/${encodeURIComponent(id)}`);
}

/**
 * @param {Wish} mark
 * @returns {Promise<Summary>}
 */
export function mark({ how, conversation, number }) {
  return request("POST", `${API}/${how}`, { conversation, number });
}

/** @param {string} conversation @returns {Promise<null>} */
export function typing(conversation) {
  return request("POST", `${API}/typing`, { conversation });
}

/**
 * @param {string[]} users
 * @returns {Promise<Seen[]>}
 */
export async function presence(users) {
  /** @type {Seen[]} */
  const found = [];
  for (let place = 0; place < users.length; place += MOST_ASKED) {
    const query = new URLSearchParams({ users: users.slice(place, place + MOST_ASKED).join(",") });
    const answer = await request("GET", `/api/presence?${query}`);
    found.push(...answer.users);
  }
  return found;
}

/** A name for a message that nothing else has. */
export function newClientId() {
  // Outside of a secure context (http:// but not localhost) there is no randomUUID.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
