/**
 * One conversation as the page knows it, from whatever told of it, in whatever order. No IO.
 *
 * Three sources overlap: summaries and pages of history, events, and answers to what was sent. A
 * message stands where its number says, in its highest revision; of two marks the higher one
 * counts; of two summaries the later one. So it does not matter what comes twice, or late.
 */

/**
 * A message, as the server tells it. What was deleted says nothing.
 *
 * @typedef {object} Message
 * @property {string} id
 * @property {string} conversation
 * @property {number} number from 1, without a hole
 * @property {string} from
 * @property {number} sentAt in Unix ms
 * @property {number} revision
 * @property {boolean} [deleted]
 * @property {string} [clientMessageId]
 * @property {string} [text]
 * @property {string[]} [attachments]
 * @property {number} [editedAt]
 */

/**
 * Up to which numbers each side has, or has read, all messages.
 *
 * @typedef {{ mine: number, theirs: number }} Mark
 */

/**
 * A conversation in a list, as the server tells it.
 *
 * @typedef {object} Summary
 * @property {string} id
 * @property {{ id: string, name: string | null, role: string }} with
 * @property {number} number of its last message
 * @property {number} activeAt in Unix ms
 * @property {number} unread
 * @property {Message | null} last the beginning of what it says
 * @property {Mark} delivered
 * @property {Mark} read
 */

/**
 * A message of one's own on its way. It stays until the stream tells of it, so that nothing is
 * shown before what came before it; `number` is set once the server has answered.
 *
 * @typedef {object} Outgoing
 * @property {string} clientId
 * @property {string} conversation
 * @property {string} text
 * @property {number} at when it was written, in Unix ms
 * @property {number} failures in a row
 * @property {string | null} refused why it is not tried any more; null: it is
 * @property {boolean} isSure whether the server said so: else it may have come all the same
 * @property {number | null} number
 */

/**
 * `messages` are a run without a hole up to the newest that was heard of. `later` are revisions of
 * messages outside of it, for a page of history that was read before them and comes after them.
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {Summary | null} summary null as long as only events have told of it
 * @property {readonly Message[]} messages
 * @property {readonly Message[]} later
 * @property {Mark} delivered
 * @property {Mark} read
 * @property {readonly Outgoing[]} outgoing
 * @property {boolean} isLoaded whether its last messages were asked for
 */

const MOST_LATER = 200;
const NONE = { mine: 0, theirs: 0 };

/**
 * @param {string} id
 * @returns {Conversation}
 */
export function unheard(id) {
  return {
    ...{ id, summary: null, messages: [], later: [], outgoing: [] },
    ...{ delivered: NONE, read: NONE, isLoaded: false },
  };
}

/**
 * @param {Conversation} it
 * @param {Summary} summary
 * @returns {Conversation}
 */
export function withSummary(it, summary) {
  const isOlder = it.summary !== null && version(summary) < version(it.summary);
  const last = newer(it.summary?.last ?? null, summary.last);
  const { delivered, read } = summary;
  return {
    ...it,
    summary: { ...(isOlder && it.summary ? it.summary : summary), last },
    delivered: higher(it.delivered, delivered),
    read: higher(it.read, read),
  };
}

/**
 * How late a summary is, of two: all of this only grows.
 *
 * @param {Summary} summary
 */
function version({ number, delivered, read }) {
  return number + delivered.mine + delivered.theirs + read.mine + read.theirs;
}

/**
 * The later message of two, or the later revision of one.
 *
 * @param {Message | null} one
 * @param {Message | null} other
 */
export function newer(one, other) {
  if (!one || !other) return one ?? other;
  const by = other.number - one.number || other.revision - one.revision;
  return by >= 0 ? other : one;
}

/** @param {Mark} one @param {Mark} other @returns {Mark} */
function higher(one, other) {
  return {
    mine: Math.max(one.mine, other.mine),
    theirs: Math.max(one.theirs, other.theirs),
  };
}

/**
 * @param {Conversation} it
 * @param {"delivered" | "read"} how
 * @param {boolean} isMine
 * @param {number} number
 * @returns {Conversation}
 */
export function withMark(it, how, isMine, number) {
  const mark = isMine ? { mine: number, theirs: 0 } : { mine: 0, theirs: number };
  const delivered = higher(it.delivered, mark);
  const read = how === "read" ? higher(it.read, mark) : it.read;
  return { ...it, delivered, read };
}

/**
 * With messages that follow each other: a page of history, or one of an event.
 *
 * @param {Conversation} it
 * @param {readonly Message[]} told
 * @param {string} me
 * @returns {Conversation}
 */
export function withMessages(it, told, me) {
  const messages = joined(it.messages, told.map((message) => latest(it.later, message)));
  const names = new Set(told.map(({ from, clientMessageId }) => from === me && clientMessageId));
  const numbers = new Set(told.map(({ number }) => number));
  // What was deleted names no client's id any more, but its number.
  const outgoing = it.outgoing.filter(
    ({ clientId, number }) => !names.has(clientId) && !(number && numbers.has(number)),
  );
  return { ...it, messages, outgoing };
}

/**
 * With another revision of a message, which may not be among those that are held.
 *
 * @param {Conversation} it
 * @param {Message} message
 * @param {string} me
 * @returns {Conversation}
 */
export function withRevision(it, message, me) {
  const { summary, messages } = it;
  const last = summary?.last?.number === message.number ? newer(summary.last, message) : null;
  const told = summary && last ? { ...it, summary: { ...summary, last } } : it;
  if (messages.some(({ number }) => number === message.number)) {
    return withMessages(told, [message], me);
  }
  const outgoing = it.outgoing.filter(({ number }) => number !== message.number);
  return { ...told, outgoing, later: [...it.later, message].slice(-MOST_LATER) };
}

/**
 * @param {readonly Message[]} later
 * @param {Message} message
 */
function latest(later, message) {
  return later.reduce(
    (best, one) => (one.number === best.number && one.revision > best.revision ? one : best),
    message,
  );
}

/**
 * Two runs as one. Where they do not touch, the newer one is all that can be shown without a hole.
 *
 * @param {readonly Message[]} run
 * @param {readonly Message[]} told
 * @returns {readonly Message[]}
 */
function joined(run, told) {
  const [first, last] = [run[0], run.at(-1)];
  const [from, to] = [told[0], told.at(-1)];
  if (!first || !last) return told;
  if (!from || !to || to.number < first.number - 1) return run;
  if (from.number > last.number + 1) return told;
  if (told.length === 1 && from.number === last.number + 1) return [...run, from];
  const byNumber = new Map(run.map((message) => [message.number, message]));
  for (const message of told) {
    const there = byNumber.get(message.number);
    if (!there || message.revision > there.revision) byNumber.set(message.number, message);
  }
  return [...byNumber.values()].sort((one, other) => one.number - other.number);
}

/**
 * With other states of one's own messages on their way.
 *
 * @param {Conversation} it
 * @param {(outgoing: Outgoing) => Outgoing | null} change null: it is gone
 * @returns {Conversation}
 */
export function withOutgoing(it, change) {
  return { ...it, outgoing: it.outgoing.map(change).filter((outgoing) => outgoing !== null) };
}

/**
 * With an answer to one's own message: it has its place, unless the stream was quicker.
 *
 * @param {Conversation} it
 * @param {string} clientId
 * @param {number} number
 */
export function withAnswer(it, clientId, number) {
  const isThere = it.messages.some((message) => message.number === number);
  const isGone = isThere || it.later.some((message) => message.number === number);
  return withOutgoing(it, (outgoing) => {
    if (outgoing.clientId !== clientId) return outgoing;
    return isGone ? null : { ...outgoing, number, refused: null, isSure: false };
  });
}
