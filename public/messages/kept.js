/**
 * What a page keeps in the browser for when it is loaded again: drafts, and messages that have no
 * answer yet. Each has a key of its own, so that tabs do not write over each other's. Where the
 * browser refuses to keep anything, it holds for as long as the page.
 */

/** @import { Outgoing } from "./conversation.js" */

const DRAFT = "lastevent.messages.draft";
const OUTGOING = "lastevent.messages.outgoing";
/** More are not kept: whoever writes as many without an answer has another problem. */
export const MOST_OUTGOING = 100;

/** One user's. */
export class Kept {
  #me;
  /** @type {Set<string>} */
  #known = new Set();

  /** @param {string} me */
  constructor(me) {
    this.#me = me;
  }

  /** @param {string} conversation */
  draft(conversation) {
    return read(this.#key(DRAFT, conversation)) ?? "";
  }

  /**
   * @param {string} conversation
   * @param {string} text empty: there is none
   */
  keepDraft(conversation, text) {
    write(this.#key(DRAFT, conversation), text || null);
  }

  /** Those of an earlier visit, and of other tabs; the oldest first. @returns {Outgoing[]} */
  outgoing() {
    const prefix = this.#key(OUTGOING, "");
    const found = keys()
      .filter((key) => key.startsWith(prefix))
      .map((key) => parse(read(key)))
      .filter((one) => one !== null);
    for (const { clientId } of found) this.#known.add(clientId);
    return found.sort((one, other) => one.at - other.at).slice(0, MOST_OUTGOING);
  }

  /**
   * Keep those without an answer; forget those of this tab that have one, or are gone.
   *
   * @param {Outgoing[]} outgoing
   */
  keepOutgoing(outgoing) {
    const now = outgoing.filter(({ number }) => number === null).slice(0, MOST_OUTGOING);
    const names = new Set(now.map(({ clientId }) => clientId));
    for (const gone of this.#known) {
      if (!names.has(gone)) write(this.#key(OUTGOING, gone), null);
    }
    for (const { clientId, conversation, text, at } of now) {
      if (this.#known.has(clientId)) continue;
      const value = JSON.stringify({ clientId, conversation, text, at });
      write(this.#key(OUTGOING, clientId), value);
    }
    this.#known = names;
  }

  /**
   * Hear when another tab has done with a message.
   *
   * @param {(clientId: string) => void} onGone
   */
  watch(onGone) {
    const prefix = this.#key(OUTGOING, "");
    addEventListener("storage", ({ key, newValue }) => {
      if (key?.startsWith(prefix) && newValue === null) onGone(key.slice(prefix.length));
    });
  }

  /**
   * @param {string} kind
   * @param {string} name
   */
  #key(kind, name) {
    return `${kind} ${JSON.stringify(this.#me)} ${name}`;
  }
}

/**
 * @param {string | null} text
 * @returns {Outgoing | null}
 */
function parse(text) {
  try {
    const { clientId, conversation, text: said, at } = JSON.parse(text ?? "");
    const isOne = [clientId, conversation, said].every((it) => typeof it === "string" && it);
    if (!isOne || typeof at !== "number") return null;
    return outgoing(clientId, conversation, said, at);
  } catch {
    return null;
  }
}

/**
 * A message that was just written.
 *
 * @param {string} clientId
 * @param {string} conversation
 * @param {string} text
 * @param {number} at
 * @returns {Outgoing}
 */
export function outgoing(clientId, conversation, text, at) {
  const blank = { failures: 0, refused: null, isSure: false, number: null };
  return { clientId, conversation, text, at, ...blank };
}

function keys() {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

/** @param {string} key */
function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string | null} value null: it is removed
 */
function write(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Refused, or full: it holds for this page.
  }
}
