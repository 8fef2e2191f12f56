/** What can be read off a conversation. No IO. */

import { newer } from "./conversation.js";

/** @import { Conversation, Message, Outgoing } from "./conversation.js" */

/** Whether there are messages before those that are held. @param {Conversation} it */
export function hasEarlier(it) {
  return it.isLoaded && (it.messages[0]?.number ?? 1) > 1;
}

/**
 * How many of the other one's messages are not read.
 *
 * @param {Conversation} it
 * @param {string} me
 */
export function unread(it, me) {
  const { summary, messages, read } = it;
  const known = messages.filter((one) => one.from !== me && one.number > read.mine);
  if (!summary || isCovered(it)) return known.length;
  const since = known.filter((one) => one.number > summary.number).length;
  const before = read.mine === summary.read.mine ? Infinity : summary.number - read.mine;
  return Math.max(0, Math.min(summary.unread, before)) + since;
}

/** Whether all that is not read is held, and can be counted. @param {Conversation} it */
function isCovered({ summary, messages, read }) {
  const [first, last] = [messages[0]?.number ?? Infinity, messages.at(-1)?.number ?? 0];
  return first <= read.mine + 1 && last >= (summary?.number ?? 0);
}

/**
 * Whether a summary is missing, or what is not read cannot be counted by it: another device has
 * read some of it, or there is a hole up to what is held.
 *
 * @param {Conversation} it
 */
export function isStale(it) {
  const { summary, messages, read } = it;
  if (!summary) return true;
  if (isCovered(it)) return false;
  const isSplit = read.mine > summary.read.mine && read.mine < summary.number;
  return isSplit || (messages[0]?.number ?? 0) > summary.number + 1;
}

/**
 * The number of the other one's last message that is held; 0: there is none.
 *
 * @param {Conversation} it
 * @param {string} me
 */
export function lastHeld(it, me) {
  return it.messages.findLast(({ from }) => from !== me)?.number ?? 0;
}

/**
 * The number up to which the summary tells of the other one's messages; 0: it tells of none.
 *
 * @param {Conversation} it
 * @param {string} me
 */
export function lastTold({ summary }, me) {
  if (!summary) return 0;
  if (summary.unread > 0) return summary.number;
  return summary.last && summary.last.from !== me ? summary.last.number : 0;
}

/**
 * What stands in the list: the last message, or one's own on its way.
 *
 * @param {Conversation} it
 * @returns {Message | Outgoing | null}
 */
export function newest(it) {
  return it.outgoing.at(-1) ?? newer(it.summary?.last ?? null, it.messages.at(-1) ?? null);
}

/** When something was said last, in Unix ms. @param {Conversation} it */
export function activeAt(it) {
  const { summary, messages, outgoing } = it;
  return Math.max(
    ...[summary?.activeAt ?? 0, messages.at(-1)?.sentAt ?? 0, outgoing.at(-1)?.at ?? 0],
  );
}
