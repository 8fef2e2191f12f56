/** What the page of the messages knows, and how it changes: `next(state, action)`. No IO. */

import * as talk from "./conversation.js";
import { unread } from "./facts.js";

/** @import { Conversation, Message, Outgoing, Summary } from "./conversation.js" */

/**
 * Whether somebody is online. `heard` counts the events until this was told; `lastSeen` is in Unix
 * ms, 0: never.
 *
 * @typedef {{ isOnline: boolean, lastSeen: number, turn: number, heard: number }} Person
 */

/**
 * @typedef {object} State
 * @property {string} me
 * @property {ReadonlyMap<string, Conversation>} conversations
 * @property {string | null} more what asks for the next page of the list; null: there is none
 * @property {ReadonlyMap<string, Person>} people
 * @property {ReadonlyMap<string, number>} typing until when, in Unix ms, somebody counts as typing
 * @property {number} heard how many events were
 * @property {string | null} open the conversation that is shown
 * @property {number | null} divider the number that new messages begin behind; null: none are new
 * @property {boolean} isSeen whether the conversation is in sight, and the window has the focus
 * @property {boolean} isAtEnd whether its end is in sight
 * @property {boolean} isOffline whether the browser knows that it has no network
 */

/**
 * What somebody's presence is, as the server tells it: `turn` in events only.
 *
 * @typedef {{ user: string, state: string, lastSeen: number, turn?: number }} Seen
 */

/**
 * @typedef {{ type: "began", me: string, conversations: Summary[], more: string | null }
 *   | { type: "listed", conversations: Summary[], more: string | null }
 *   | { type: "told", summary: Summary }
 *   | { type: "read", summary: Summary, messages: Message[] }
 *   | { type: "changed", message: Message }
 *   | { type: "event", name: string, data: any, now: number }
 *   | { type: "looked", users: Seen[], heard: number }
 *   | { type: "written", outgoing: Outgoing }
 *   | { type: "answered", clientId: string, conversation: string, number: number }
 *   | { type: "unanswered", clientId: string }
 *   | { type: "refused", clientId: string, reason: string, isSure: boolean }
 *   | { type: "retried", clientId: string }
 *   | { type: "discarded", clientId: string }
 *   | { type: "opened", id: string | null }
 *   | { type: "seen", isSeen: boolean, isAtEnd: boolean }
 *   | { type: "network", isOffline: boolean }} Action
 */

/** For how long a notice of typing counts; whoever types sends one every few seconds. */
const TYPING = 6000;
/** Messages of a conversation that are held: of one that is read upwards, and of any other. */
export const MOST_HELD = 5000;
const MOST_AT_EASE = 400;

/** @type {State} */
export const EMPTY = {
  ...{ me: "", conversations: new Map(), more: null, people: new Map(), typing: new Map() },
  ...{ heard: 0, open: null, divider: null, isSeen: false, isAtEnd: true, isOffline: false },
};

/**
 * @param {State} state
 * @param {Action} action
 * @returns {State}
 */
export function next(state, action) {
  switch (action.type) {
    case "began":
      return began(state, action);
    case "listed":
      return { ...action.conversations.reduce(told, state), more: action.more };
    case "told":
      return told(state, action.summary);
    case "read":
      return read(state, action.summary, action.messages);
    case "changed":
      return revised(state, action.message);
    case "event":
      return heard({ ...state, heard: state.heard + 1 }, action.name, action.data, action.now);
    case "looked":
      return { ...state, people: looked(state, action.users, action.heard) };
    case "written":
      return written(state, action.outgoing);
    case "answered":
      return changed(state, action.conversation, (it) =>
        talk.withAnswer(it, action.clientId, action.number),
      );
    case "unanswered":
      return altered(state, action.clientId, (it) => ({ ...it, failures: it.failures + 1 }));
    case "refused":
      return altered(state, action.clientId, (it) => refused(it, action.reason, action.isSure));
    case "retried":
      return altered(state, action.clientId, (it) => refused(it, null, false));
    case "discarded":
      return altered(state, action.clientId, () => null);
    case "opened":
      return opened(state, action.id);
    case "seen":
      return { ...state, isSeen: action.isSeen, isAtEnd: action.isAtEnd };
    case "network":
      return { ...state, isOffline: action.isOffline };
  }
}

/**
 * Everything from the beginning: what was held is asked for anew, but for what is on its way.
 *
 * @param {State} state
 * @param {{ me: string, conversations: Summary[], more: string | null }} snapshot
 * @returns {State}
 */
function began({ conversations, open, divider, isSeen, isAtEnd, isOffline }, snapshot) {
  /** @type {Map<string, Conversation>} */
  const kept = new Map();
  for (const { id, outgoing } of conversations.values()) {
    if (outgoing.length) kept.set(id, { ...talk.unheard(id), outgoing });
  }
  const { me, more } = snapshot;
  const blank = { ...EMPTY, me, more, conversations: kept, open, divider };
  return snapshot.conversations.reduce(told, { ...blank, isSeen, isAtEnd, isOffline });
}

/**
 * @param {State} state
 * @param {Summary} summary
 * @param {Message[]} messages
 * @returns {State}
 */
function read(state, summary, messages) {
  const { id } = summary;
  const isFirst = !state.conversations.get(id)?.isLoaded;
  const after = changed(told(state, summary), id, (it) => ({
    ...talk.withMessages(it, messages, state.me),
    isLoaded: true,
  }));
  return isFirst && id === state.open ? { ...after, divider: whereNew(after, id) } : after;
}

/** @param {State} state @param {string | null} id @returns {State} */
function opened(state, id) {
  // It is not in sight before it is shown.
  return { ...state, open: id, divider: id === null ? null : whereNew(state, id), isSeen: false };
}

/** @param {State} state @param {string} id */
function whereNew({ conversations, me }, id) {
  const it = conversations.get(id);
  return it && unread(it, me) ? it.read.mine : null;
}

/** @param {State} state @param {Outgoing} outgoing @returns {State} */
function written(state, outgoing) {
  const after = changed(state, outgoing.conversation, (it) => {
    const isThere = it.outgoing.some(({ clientId }) => clientId === outgoing.clientId);
    return isThere ? it : { ...it, outgoing: [...it.outgoing, outgoing] };
  });
  return outgoing.conversation === state.open ? { ...after, divider: null } : after;
}

/**
 * @param {Outgoing} it
 * @param {string | null} reason
 * @param {boolean} isSure
 * @returns {Outgoing}
 */
function refused(it, reason, isSure) {
  return { ...it, refused: reason, isSure, failures: reason === null ? 0 : it.failures };
}

/** @param {State} state @param {Summary} summary @returns {State} */
function told(state, summary) {
  return changed(state, summary.id, (it) => talk.withSummary(it, summary));
}

/** @param {State} state @param {Message} message @returns {State} */
function revised(state, message) {
  return changed(state, message.conversation, (it) => talk.withRevision(it, message, state.me));
}

/**
 * @param {State} state
 * @param {string} id
 * @param {(it: Conversation) => Conversation} change
 * @returns {State}
 */
function changed(state, id, change) {
  const conversations = new Map(state.conversations);
  conversations.set(id, change(conversations.get(id) ?? talk.unheard(id)));
  return { ...state, conversations };
}

/**
 * @param {State} state
 * @param {string} clientId
 * @param {(it: Outgoing) => Outgoing | null} change
 * @returns {State}
 */
function altered(state, clientId, change) {
  const there = outgoing(state).find((one) => one.clientId === clientId);
  if (!there) return state;
  return changed(state, there.conversation, (it) =>
    talk.withOutgoing(it, (one) => (one.clientId === clientId ? change(one) : one)),
  );
}

/**
 * @param {State} state
 * @param {string} name
 * @param {any} data
 * @param {number} now
 * @returns {State}
 */
function heard(state, name, data, now) {
  switch (name) {
    case "message":
      return received(state, data);
    case "edited":
    case "deleted":
      return revised(state, data);
    case "delivered":
    case "read":
      return changed(state, data.conversation, (it) =>
        talk.withMark(it, name, data.user === state.me, data.number),
      );
    case "typing":
      return { ...state, typing: new Map(state.typing).set(data.conversation, now + TYPING) };
    case "presence":
      return { ...state, people: came(state, data) };
    default:
      return state;
  }
}

/** @param {State} state @param {Message} message @returns {State} */
function received(state, message) {
  const { me, open } = state;
  const isOwn = message.from === me;
  const isOpen = message.conversation === open;
  // Who reads upwards keeps what they have, as far as it goes.
  const isReading = isOpen && !state.isAtEnd;
  const [most, kept] = isReading ? [MOST_HELD, MOST_HELD] : [MOST_AT_EASE, MOST_AT_EASE / 2];
  const after = changed(state, message.conversation, (before) => {
    const it = talk.withMessages(before, [message], me);
    return it.messages.length > most ? { ...it, messages: it.messages.slice(-kept) } : it;
  });
  const typing = new Map(state.typing);
  if (!isOwn) typing.delete(message.conversation);
  const read = after.conversations.get(message.conversation)?.read.mine ?? 0;
  let { divider } = state;
  if (isOpen && isOwn) divider = null;
  else if (isOpen && message.number > read && !isAttentive(state)) divider = read;
  return { ...after, typing, divider };
}

/** @param {State} state @param {Seen & { turn: number }} seen */
function came({ people, heard }, { user, state, lastSeen, turn }) {
  if ((people.get(user)?.turn ?? 0) > turn) return people;
  return new Map(people).set(user, { isOnline: state === "online", lastSeen, turn, heard });
}

/**
 * An answer says how it was when it was asked for: who was heard of since is left as they are.
 *
 * @param {State} state
 * @param {Seen[]} users
 * @param {number} asked how many events were heard when the question was sent
 */
function looked({ people }, users, asked) {
  const after = new Map(people);
  for (const { user, state, lastSeen } of users) {
    const { turn = 0, heard = 0 } = people.get(user) ?? {};
    if (heard <= asked) after.set(user, { isOnline: state === "online", lastSeen, turn, heard });
  }
  return after;
}

/** Whether what comes is read as it comes. @param {State} state */
export function isAttentive({ isSeen, isAtEnd }) {
  return isSeen && isAtEnd;
}

/** All that is on its way, in the order in which it was written. @param {State} state */
export function outgoing({ conversations }) {
  return [...conversations.values()]
    .flatMap(({ outgoing }) => outgoing)
    .sort((one, other) => one.at - other.at);
}
