/** Fetches what the state lacks, and says what has come and been read. */

import { hasEarlier } from "./facts.js";
import { Errand, words } from "./errand.js";
import * as requests from "./requests.js";
import { lacking, listed, toMark } from "./wanted.js";

/** @import { Task } from "./errand.js" */
/** @import { Store } from "./store.js" */

export class Reading {
  /** Why the open conversation could not be read, or not further, in words. */
  problem = "";
  #store;
  #isReady = false;
  /** The open conversation's messages before this number are wanted. @type {number | null} */
  #before = null;
  /** What the server refused for good, and is not asked for again. @type {Set<string>} */
  #refused = new Set();
  #errands = [
    new Errand(() => this.#history()),
    new Errand(() => this.#summary()),
    new Errand(() => this.#mark()),
  ];

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
    store.hear(() => this.#errands.forEach((errand) => errand.poke()));
  }

  begin() {
    this.#isReady = true;
    this.hurry();
  }

  hurry() {
    this.#refused.clear();
    this.#errands.forEach((errand) => errand.hurry());
    void this.#look();
  }

  /** @param {string | null} id */
  open(id) {
    this.#before = null;
    this.problem = "";
    this.#store.dispatch({ type: "opened", id });
    if (id !== null) void this.#look();
  }

  /** The messages before those that are held. */
  earlier() {
    const it = this.#opened;
    if (!it || !hasEarlier(it) || this.problem) return;
    this.#before = it.messages[0]?.number ?? null;
    this.#errands[0]?.poke();
  }

  /** Try again what could not be read. */
  again() {
    this.problem = "";
    this.#errands[0]?.hurry();
    this.#store.changed();
  }

  get #opened() {
    const { open, conversations } = this.#store.state;
    return conversations.get(open ?? "") ?? null;
  }

  /** @returns {Task | null} */
  #history() {
    const { open } = this.#store.state;
    const isFirst = !this.#opened?.isLoaded;
    const before = isFirst ? null : this.#before;
    if (!this.#isReady || open === null || this.problem) return null;
    if (!isFirst && before === null) return null;
    return {
      run: async () => {
        const { conversation, messages } = await requests.history(open, before);
        if (this.#before === before) this.#before = null;
        this.#store.dispatch({ type: "read", summary: conversation, messages });
      },
      failed: (error, isLast) => {
        if (isLast && open === this.#store.state.open) this.problem = words(error);
        this.#store.changed();
      },
    };
  }

  /** @returns {Task | null} */
  #summary() {
    const id = lacking(this.#store.state).find((one) => !this.#refused.has(one));
    if (!this.#isReady || id === undefined) return null;
    return {
      run: async () => {
        const { conversation } = await requests.history(id, null, 1);
        this.#store.dispatch({ type: "told", summary: conversation });
        void this.#look();
      },
      failed: (_error, isLast) => isLast && this.#refused.add(id),
    };
  }

  /** @returns {Task | null} */
  #mark() {
    const mark = toMark(this.#store.state).find((one) => !this.#refused.has(JSON.stringify(one)));
    if (!this.#isReady || !mark) return null;
    return {
      run: async () =>
        this.#store.dispatch({ type: "told", summary: await requests.mark(mark) }),
      failed: (_error, isLast) => isLast && this.#refused.add(JSON.stringify(mark)),
    };
  }

  /** The next page of the list. Rejects where that fails. */
  async more() {
    const { more } = this.#store.state;
    if (more === null) return;
    const { conversations, next } = await requests.conversations(more);
    this.#store.dispatch({ type: "listed", conversations, more: next });
    void this.#look();
  }

  /** Ask who is online; of those who come and go the stream tells. */
  async #look() {
    const { heard } = this.#store.state;
    const users = listed(this.#store.state).map(({ summary }) => summary?.with.id ?? "");
    if (!users.length) return;
    try {
      const seen = await requests.presence(users);
      this.#store.dispatch({ type: "looked", users: seen, heard });
    } catch {
      // It is asked again when the connection stands again, and with the next conversation.
    }
  }

  /**
   * @param {boolean} isSeen
   * @param {boolean} isAtEnd
   */
  see(isSeen, isAtEnd) {
    const { state } = this.#store;
    if (state.isSeen === isSeen && state.isAtEnd === isAtEnd) return;
    this.#store.dispatch({ type: "seen", isSeen, isAtEnd });
  }
}
