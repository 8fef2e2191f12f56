/**
 * What is written: messages in the order in which they were, each until it has an answer; drafts;
 * and that somebody is typing.
 */

import { Errand, mayPass, words } from "./errand.js";
import { Kept, MOST_OUTGOING, outgoing as written } from "./kept.js";
import * as requests from "./requests.js";
import { outgoing } from "./state.js";
import { toSend } from "./wanted.js";

/** @import { Task } from "./errand.js" */
/** @import { Store } from "./store.js" */

/** How often somebody who types says so, in ms. */
const TYPING_EVERY = 3000;

export class Writing {
  #store;
  /** @type {Kept | null} */
  #kept = null;
  #typedAt = -Infinity;
  #errand = new Errand(() => this.#next());

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
    store.hear(({ conversations }) => {
      if (conversations !== store.state.conversations) {
        this.#kept?.keepOutgoing(outgoing(store.state));
      }
      this.#errand.poke();
    });
    const look = () => store.dispatch({ type: "network", isOffline: !navigator.onLine });
    for (const type of ["online", "offline"]) addEventListener(type, look);
  }

  /** Go on with what an earlier visit did not bring to its end. @param {string} me */
  begin(me) {
    if (this.#kept) return;
    const kept = new Kept(me);
    kept.watch((clientId) => this.discard(clientId));
    const found = kept.outgoing();
    this.#kept = kept;
    for (const one of found) this.#store.dispatch({ type: "written", outgoing: one });
  }

  hurry() {
    this.#errand.hurry();
  }

  /** @param {string} conversation */
  draft(conversation) {
    return this.#kept?.draft(conversation) ?? "";
  }

  /**
   * @param {string} conversation
   * @param {string} text
   */
  keepDraft(conversation, text) {
    this.#kept?.keepDraft(conversation, text);
  }

  /**
   * Send a message within the open conversation, behind those that are on their way.
   *
   * @param {string} text
   * @returns {boolean} whether it is taken; not if too many are on their way
   */
  send(text) {
    const { open } = this.#store.state;
    const before = outgoing(this.#store.state);
    if (open === null || before.length >= MOST_OUTGOING) return false;
    // Later than any before it, also where the clock stood still or was set back.
    const at = Math.max(Date.now(), (before.at(-1)?.at ?? 0) + 1);
    const clientId = requests.newClientId();
    this.#typedAt = -Infinity;
    this.#store.dispatch({ type: "written", outgoing: written(clientId, open, text, at) });
    return true;
  }

  /** @returns {Task | null} */
  #next() {
    const one = toSend(this.#store.state);
    if (!this.#kept || !one) return null;
    const { clientId, conversation, text } = one;
    return {
      run: async () => {
        const { number } = await requests.send({ conversation }, text, clientId);
        this.#store.dispatch({ type: "answered", clientId, conversation, number });
      },
      failed: (error, isLast) =>
        this.#store.dispatch(
          isLast
            ? { type: "refused", clientId, reason: words(error), isSure: !mayPass(error) }
            : { type: "unanswered", clientId },
        ),
    };
  }

  /** Try again what was given up or refused. @param {string} clientId */
  retry(clientId) {
    this.#store.dispatch({ type: "retried", clientId });
    this.hurry();
  }

  /** @param {string} clientId */
  discard(clientId) {
    this.#store.dispatch({ type: "discarded", clientId });
  }

  /**
   * Begin a conversation; return its id. Rejects where that fails; the same again is the same
   * message.
   *
   * @param {string} to
   * @param {string} text
   * @param {string} clientId
   */
  async beginWith(to, text, clientId) {
    const { conversation } = await requests.send({ to }, text, clientId);
    const { conversation: summary } = await requests.history(conversation, null, 1);
    this.#store.dispatch({ type: "told", summary });
    return conversation;
  }

  /** Rejects where that fails. @param {string} id @param {string} text */
  async edit(id, text) {
    this.#store.dispatch({ type: "changed", message: await requests.edit(id, text) });
  }

  /** Rejects where that fails; the stream tells of it. @param {string} id */
  async remove(id) {
    await requests.remove(id);
  }

  /** Say that one is typing, every few seconds and no more. */
  type() {
    const { open } = this.#store.state;
    const now = performance.now();
    if (open === null || now - this.#typedAt < TYPING_EVERY) return;
    this.#typedAt = now;
    // It tells of this moment: there is nothing to try again.
    requests.typing(open).catch(() => {});
  }
}
