/** A user's messages, as a hook: docs/messaging.md says what they are. */

import { useMemo } from "react";
import { object } from "../follower.js";
import { useConnection } from "./connection.js";
import { handling } from "./handlers.js";
import { useFolded } from "./stream.js";

/** @import { Folding, StoreOptions } from "./store.js" */
/** @import { Handler } from "./updates.js" */

/**
 * A message, as it is now: `deleted` in the place of its text, where it was.
 *
 * @typedef {{ id: string, conversation: string, number: number, from: string, sentAt: number,
 *   revision: number, text?: string, deleted?: true } & Record<string, unknown>} Message
 */

/**
 * @typedef {object} Handlers
 * @property {Handler} [onMessage] a message
 * @property {Handler} [onEdited] the message as it is now
 * @property {Handler} [onDeleted] what is left of it
 * @property {Handler} [onDelivered] `{ conversation, user, number }`
 * @property {Handler} [onRead] `{ conversation, user, number }`
 * @property {Handler} [onTyping] `{ conversation, user }`
 * @property {Handler} [onPresence] `{ user, state, lastSeen, turn }`
 */

/** Messages that are kept where the caller does not say how many. */
const KEEP = 500;

/** @type {Folding<readonly Message[]>} */
const MESSAGES = {
  initial: Object.freeze([]),
  fold(messages, events, keep = KEEP) {
    const known = new Map(messages.map((message) => [message.id, message]));
    for (const { type, data } of events) {
      if (!["message", "edited", "deleted"].includes(type)) continue;
      const told = /** @type {Message} */ (object(data));
      const had = known.get(told.id);
      // What is changed and is not here came before all that is.
      if (had ? told.revision > had.revision : type === "message") known.set(told.id, told);
    }
    return keep > 0 ? [...known.values()].slice(-keep) : messages;
  },
};

/**
 * Follow what a user is told; return the messages that came meanwhile, each as it is now and in the
 * order in which they came, and how the connection does. `url` null: nothing is followed.
 *
 * @param {StoreOptions & Handlers & { url?: string | URL | null }} [options]
 */
export function useSSE(options = {}) {
  const { url = "/api/sse", ...others } = options;
  const { onMessage, onEdited, onDeleted, onDelivered, onRead, ...rest } = others;
  const { onTyping, onPresence, ...plain } = rest;
  const followed = handling(plain, {
    ...{ message: onMessage, edited: onEdited, deleted: onDeleted },
    ...{ delivered: onDelivered, read: onRead, typing: onTyping, presence: onPresence },
  });
  const stream = useFolded(url, followed, MESSAGES);
  const connection = useConnection(stream);
  const { value: messages } = stream;
  return useMemo(() => ({ messages, ...connection }), [messages, connection]);
}
