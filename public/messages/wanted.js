/**
 * What the state says is to be shown, and to be done. Whatever fails is wanted again, and what was
 * done is not. No IO.
 */

import * as facts from "./facts.js";
import { isAttentive } from "./state.js";

/** @import { Conversation } from "./conversation.js" */
/** @import { State } from "./state.js" */

/**
 * A mark that is to be set.
 *
 * @typedef {{ conversation: string, how: "delivered" | "read", number: number }} Wish
 */

/** Those that can be shown, the newest first. @param {State} state */
export function listed({ conversations }) {
  return [...conversations.values()]
    .filter(({ summary }) => summary !== null)
    .sort((one, other) => facts.activeAt(other) - facts.activeAt(one));
}

/** @param {State} state */
export function allUnread(state) {
  return listed(state).reduce((sum, it) => sum + facts.unread(it, state.me), 0);
}

/** The conversations whose summaries are to be asked for. @param {State} state */
export function lacking({ conversations }) {
  return [...conversations.values()].filter(facts.isStale).map(({ id }) => id);
}

/**
 * The message that is to be sent: the first one that has no answer. One that was refused holds up
 * those behind it in its conversation, so that none overtakes it.
 *
 * @param {State} state
 */
export function toSend(state) {
  if (state.isOffline) return undefined;
  const heads = [...state.conversations.values()]
    .map(({ outgoing }) => outgoing.find(({ number }) => number === null))
    .filter((one) => one !== undefined && one.refused === null);
  return heads.sort((one, other) => (one?.at ?? 0) - (other?.at ?? 0))[0];
}

/**
 * What is to be marked: what has come here is delivered, what is looked at is read too.
 *
 * @param {State} state
 * @returns {Wish[]}
 */
export function toMark(state) {
  return [...state.conversations.values()]
    .map((it) => (it.summary ? markOf(it, state) : null))
    .filter((wish) => wish !== null);
}

/**
 * @param {Conversation} it
 * @param {State} state
 * @returns {Wish | null}
 */
function markOf(it, state) {
  const conversation = it.id;
  const held = facts.lastHeld(it, state.me);
  const isRead = conversation === state.open && it.isLoaded && isAttentive(state);
  if (isRead && held > it.read.mine) return { conversation, how: "read", number: held };
  const number = Math.max(held, facts.lastTold(it, state.me));
  return number > it.delivered.mine ? { conversation, how: "delivered", number } : null;
}
