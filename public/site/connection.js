/**
 * Shows how a stream's connection does: an icon and a word, announced when it changes, and a button
 * where the reader can do something about it.
 */

import { sentence } from "./api.js";

/** @import { State } from "../lastevent.js" */

const WORDS = {
  connecting: "Connecting",
  connected: "Live",
  reconnecting: "Reconnecting",
  polling: "Polling",
  disconnected: "Disconnected",
  ended: "Ended",
  denied: "No access",
};

export class Connection {
  #pill;
  #word;
  #countdown;
  #reason;
  #retry;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking;

  /**
   * @param {HTMLElement} pill
   * @param {HTMLElement} reason
   * @param {HTMLButtonElement} retry
   * @param {() => void} reconnect
   */
  constructor(pill, reason, retry, reconnect) {
    this.#pill = pill;
    this.#reason = reason;
    this.#retry = retry;
    this.#word = document.createElement("span");
    this.#countdown = document.createElement("span");
    // It changes every second, which nobody wants to be told.
    this.#countdown.ariaHidden = "true";
    const icon = document.createElement("span");
    icon.className = "icon";
    icon.ariaHidden = "true";
    const label = document.createElement("span");
    label.append(this.#word, this.#countdown);
    pill.replaceChildren(icon, label);
    retry.addEventListener("click", reconnect);
  }

  /** @param {State | null} state null: there is no stream */
  show(state) {
    clearInterval(this.#ticking);
    this.#pill.hidden = state === null;
    this.#retry.hidden = true;
    this.#reason.textContent = "";
    this.#countdown.textContent = "";
    if (state === null) return;
    this.#pill.dataset["state"] = state.name;
    let word = WORDS[state.name];
    if (state.name === "reconnecting") {
      word += `, attempt ${state.attempt} of ${state.of}`;
      this.#countDown(performance.now() + state.seconds * 1000);
    }
    if (this.#word.textContent !== word) this.#word.textContent = word;
    if ("reason" in state) this.#reason.textContent = sentence(state.reason);
    this.#retry.hidden = !["reconnecting", "disconnected", "denied"].includes(state.name);
  }

  /** @param {number} until */
  #countDown(until) {
    const tick = () => {
      const seconds = Math.ceil((until - performance.now()) / 1000);
      this.#countdown.textContent = seconds > 0 ? ` in ${seconds} s` : "";
      if (seconds <= 0) clearInterval(this.#ticking);
    };
    this.#ticking = setInterval(tick, 1000);
    tick();
  }
}
