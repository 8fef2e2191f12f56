/** The rows of a conversation: messages by days, new ones marked, and how far one's own came. */

/** @import { Conversation, Message, Outgoing } from "./conversation.js" */
/** @import { State } from "./state.js" */

/**
 * A row that says something about those below it.
 *
 * @typedef {{ kind: "day" | "new", key: string, text: string }} Heading
 */

/**
 * A message's row. `key` is the same before and after the server knows it.
 *
 * @typedef {object} Said
 * @property {"said"} kind
 * @property {string} key
 * @property {boolean} isOwn
 * @property {boolean} goesOn whether it belongs to the one above: the same sender, soon after
 * @property {number} at in Unix ms
 * @property {string} text
 * @property {readonly string[]} attachments
 * @property {boolean} isEdited
 * @property {boolean} isDeleted
 * @property {"" | "sending" | "waiting" | "failed" | "sent" | "delivered" | "read"} state one's own
 * @property {string} reason why it failed
 * @property {boolean} isSure whether it has surely not come
 * @property {string | null} id what names it to the server; null as long as it is on its way
 */

/** @typedef {Heading | Said} Row */

const TOGETHER = 5 * 60_000;
const DAY = 24 * 3600_000;

/**
 * @param {Conversation} conversation
 * @param {State} state
 * @param {number} now in Unix ms
 * @returns {Row[]}
 */
export function rowsOf(conversation, { me, divider, isOffline }, now) {
  /** @type {Row[]} */
  const rows = [];
  let before = /** @type {Said | null} */ (null);
  let isMarked = divider === null;
  for (const said of entries(conversation)) {
    const row = "from" in said ? kept(said, conversation, me) : sent(said, conversation, isOffline);
    const day = new Date(row.at).toDateString();
    if (!before || day !== new Date(before.at).toDateString()) {
      rows.push({ kind: "day", key: `day ${day}`, text: dayName(row.at, now) });
      before = null;
    }
    if (!isMarked && !row.isOwn && "from" in said && said.number > (divider ?? 0)) {
      rows.push({ kind: "new", key: "new", text: "New messages" });
      isMarked = true;
      before = null;
    }
    const isSoon = before !== null && row.at - before.at < TOGETHER;
    row.goesOn = isSoon && before?.isOwn === row.isOwn;
    rows.push(row);
    before = row;
  }
  return rows;
}

/**
 * What is held and what is on its way, in order: what has a number stands there, the rest last.
 *
 * @param {Conversation} conversation
 * @returns {(Message | Outgoing)[]}
 */
function entries({ messages, outgoing }) {
  const numbered = outgoing.filter(({ number }) => number !== null);
  const rest = outgoing.filter(({ number }) => number === null);
  if (!numbered.length) return [...messages, ...rest];
  const all = [...messages, ...numbered];
  return [...all.sort((one, other) => (one.number ?? 0) - (other.number ?? 0)), ...rest];
}

/**
 * @param {Message} message
 * @param {Conversation} conversation
 * @param {string} me
 * @returns {Said}
 */
function kept({ id, number, from, sentAt, clientMessageId, ...message }, conversation, me) {
  const isOwn = from === me;
  const key = isOwn && clientMessageId ? clientMessageId : String(number);
  const { text = "", attachments = [], editedAt, deleted: isDeleted = false } = message;
  const state = isOwn && !isDeleted ? reached(conversation, number) : "";
  const isEdited = editedAt !== undefined;
  return {
    ...{ kind: "said", key, isOwn, goesOn: false, at: sentAt, text, attachments },
    ...{ isEdited, isDeleted, state, reason: "", isSure: false, id },
  };
}

/**
 * @param {Outgoing} outgoing
 * @param {Conversation} conversation
 * @param {boolean} isOffline
 * @returns {Said}
 */
function sent(outgoing, conversation, isOffline) {
  const { clientId, at, text, number, refused, isSure, failures } = outgoing;
  const [first] = conversation.outgoing.filter((one) => one.number === null);
  const isTried = first?.clientId === clientId && !failures && !isOffline;
  let state = /** @type {Said["state"]} */ (isTried ? "sending" : "waiting");
  if (refused !== null) state = "failed";
  if (number !== null) state = reached(conversation, number);
  return {
    ...{ kind: "said", key: clientId, isOwn: true, goesOn: false, at, text, attachments: [] },
    ...{ isEdited: false, isDeleted: false, state, reason: refused ?? "", isSure, id: null },
  };
}

/**
 * @param {Conversation} conversation
 * @param {number} number
 */
function reached({ delivered, read }, number) {
  if (number <= read.theirs) return "read";
  return number <= delivered.theirs ? "delivered" : "sent";
}

/**
 * @param {number} at in Unix ms
 * @param {number} now in Unix ms
 */
export function dayName(at, now) {
  const date = new Date(at);
  if (date.toDateString() === new Date(now).toDateString()) return "Today";
  if (date.toDateString() === new Date(now - DAY).toDateString()) return "Yesterday";
  /** @type {Intl.DateTimeFormatOptions} */
  const format = { weekday: "long", day: "numeric", month: "long" };
  if (date.getFullYear() !== new Date(now).getFullYear()) format.year = "numeric";
  return date.toLocaleDateString("en-GB", format);
}

/** Hours and minutes. @param {number} at in Unix ms */
export function minute(at) {
  return new Date(at).toTimeString().slice(0, 5);
}
