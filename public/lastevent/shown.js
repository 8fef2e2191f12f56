/** The state of a shared stream as one tab shows it, whether it leads or is told. */

import { call } from "./call.js";

/** @import { State } from "../lastevent.js" */

/** A leader whose page is left loses its connection first: no cut, if another leads by then. */
const LEAVING = 300;

export class Shown {
  /** @type {State} */
  state = { name: "connecting" };
  /** When it became that, in Unix ms. */
  since = Date.now();
  #onState;
  /** When the leader's state began whose seconds are shown. */
  #counted = 0;
  /** Until a cut is shown. @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {((state: State) => void) | undefined} onState hears of each change */
  constructor(onState) {
    this.#onState = onState;
  }

  /** @param {State} state */
  become(state) {
    this.keep();
    this.state = state;
    this.since = Date.now();
    call(this.#onState, state);
  }

  /** Let what is shown be, though something else was told. */
  keep() {
    clearTimeout(this.#timer);
  }

  /**
   * Show the leader's, a cut only if it lasts.
   *
   * @param {State} state
   * @param {number} since in Unix ms
   */
  learn(state, since) {
    this.keep();
    if ("seconds" in state) {
      if (since === this.#counted) return;
      const isCut = state.name === "reconnecting" && this.state.name === "connected";
      const show = () => {
        this.#counted = since;
        const seconds = Math.max(0, state.seconds - (Date.now() - since) / 1000);
        this.become({ ...state, seconds });
      };
      if (isCut) this.#timer = setTimeout(show, LEAVING);
      else show();
    } else if (JSON.stringify(state) !== JSON.stringify(this.state)) this.become(state);
  }

  /** The tab has closed it, and hears nothing more. */
  close() {
    this.keep();
    this.#onState = undefined;
    this.state = { name: "disconnected", reason: "closed" };
  }
}
