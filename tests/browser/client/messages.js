/**
 * A conversation's truth, as the server has it, and what it tells of it: for tests of a page's
 * state that no network takes part in.
 */

export const ME = "clara";
export const OTHER = "paul";
export const ID = "c1";

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function chance(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Talk {
  messages = [];
  /** What the page is told, in order. */
  events = [];
  delivered = { mine: 0, theirs: 0 };
  read = { mine: 0, theirs: 0 };

  get head() {
    return this.messages.length;
  }

  /** A message; the same client's id again is the same message. */
  send(from, text, clientMessageId) {
    const same = this.messages.find((one) => one.from === from && one.by === clientMessageId);
    if (same) return { conversation: ID, number: same.number };
    const number = this.head + 1;
    const said = { id: `${ID}-${number}`, conversation: ID, number, from, sentAt: 1000 + number };
    this.messages.push({ ...said, revision: 1, clientMessageId, text, by: clientMessageId });
    this.#tell("message", this.told(number));
    return { conversation: ID, number };
  }

  told(number) {
    const { by, ...told } = this.messages[number - 1];
    return told;
  }

  edit(number, text) {
    const message = this.messages[number - 1];
    if (message.deleted) return;
    Object.assign(message, { text, editedAt: 5000, revision: message.revision + 1 });
    this.#tell("edited", this.told(number));
  }

  delete(number) {
    const message = this.messages[number - 1];
    if (message.deleted) return;
    const { text, clientMessageId, editedAt, ...left } = message;
    this.messages[number - 1] = { ...left, revision: left.revision + 1, deleted: true };
    this.#tell("deleted", this.told(number));
  }

  mark(user, how, number) {
    const side = user === ME ? "mine" : "theirs";
    const before = this[how][side];
    if (number <= before) return;
    this.delivered = { ...this.delivered, [side]: Math.max(this.delivered[side], number) };
    if (how === "read") this.read = { ...this.read, [side]: number };
    this.#tell(how, { conversation: ID, user, number });
  }

  get unread() {
    return this.messages.filter((one) => one.from === OTHER && one.number > this.read.mine).length;
  }

  summary() {
    const last = this.head ? this.told(this.head) : null;
    return {
      id: ID,
      with: { id: OTHER, name: "Paul", role: "professional" },
      last: last && (last.deleted ? last : { ...last, text: last.text.slice(0, 160) }),
      number: this.head,
      activeAt: 1000 + this.head,
      unread: this.unread,
      delivered: this.delivered,
      read: this.read,
    };
  }

  /** A page of history, as it is now. */
  history(before, limit) {
    const end = Math.min(before ?? Infinity, this.head + 1);
    const messages = [];
    for (let n = Math.max(1, end - limit); n < end; n += 1) messages.push(this.told(n));
    return { type: "read", summary: this.summary(), messages };
  }

  #tell(name, data) {
    this.events.push({ type: "event", name, data, now: 1000 });
  }
}
