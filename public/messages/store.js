/** Holds the state, and tells of its changes. */

import { EMPTY, next } from "./state.js";

/** @import { Action, State } from "./state.js" */

export class Store {
  /** @type {Readonly<State>} */
  state = EMPTY;
  /** @type {((before: Readonly<State>) => void)[]} */
  #hearers = [];

  /** @param {Action} action */
  dispatch(action) {
    const before = this.state;
    this.state = next(before, action);
    this.changed(before);
  }

  /** Tell of a change, also of one that is not in the state. */
  changed(before = this.state) {
    for (const hearer of this.#hearers) hearer(before);
  }

  /** @param {(before: Readonly<State>) => void} hearer is told what the state was before */
  hear(hearer) {
    this.#hearers.push(hearer);
  }
}
