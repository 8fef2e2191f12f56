/**
 * Shows how a stream's connection does: an icon and a word, announced when it changes, until when
 * what is shown is up to date, and a button where the reader can do something about it.
 */

import { sentence } from "./api.js";
import { setText } from "./dom.js";
import { ago, clockTime } from "./format.js";
import { offerPreferences } from "./preferences.js";

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
const SECOND = 1000;
/** What the stream does not come back from by itself: its reason is worth being told of. */
const FINAL = ["disconnected", "denied"];
/** Nothing newer is missing. */
const FRESH = ["connected", "ended"];

export class Connection {
  #pill;
  #icon = span("icon", true);
  #word = span("word", false);
  // It changes every second, which nobody wants to be told.
  #countdown = span("countdown", true);
  #age = span("age", false);
  #reason;
  #retry;
  /** @type {State | null} */
  #state = null;
  /** When the next attempt begins, on the page's own clock. */
  #next = 0;
  /** When something was heard last, in Unix ms; null: never. @type {number | null} */
  #heard = null;
  #hasBeats = false;
  #polls = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking;

  /**
   * @param {HTMLElement} pill gets the icon and the word; the age of the data stands behind it
   * @param {HTMLElement} reason gets the server's words, or what went wrong
   * @param {HTMLButtonElement} retry
   * @param {() => void} reconnect
   */
  constructor(pill, reason, retry, reconnect) {
    this.#pill = pill;
    this.#reason = reason;
    this.#retry = retry;
    const label = document.createElement("span");
    label.append(this.#word, this.#countdown);
    pill.replaceChildren(this.#icon, label);
    pill.after(this.#age);
    this.#icon.addEventListener("animationend", () => this.#icon.classList.remove("beat"));
    retry.addEventListener("click", reconnect);
    // A page that shows a connection follows something: its reader may say how.
    offerPreferences();
  }

  /**
   * @param {State | null} state null: there is no stream
   * @param {number} [polls] how many were answered so far, as the stream counts them
   */
  show(state, polls = 0) {
    clearInterval(this.#ticking);
    const before = this.#state;
    this.#state = state;
    this.#pill.hidden = state === null;
    if (state === null) this.#heard = null;
    else if (polls > this.#polls || this.#isHeard(state, before)) this.#heard = Date.now();
    this.#polls = polls;
    this.#next = performance.now() + (state && "seconds" in state ? state.seconds : 0) * SECOND;
    if (state) this.#pill.dataset["state"] = state.name;
    setText(this.#word, state ? wording(state) : "");
    this.#explain(state);
    this.#tick();
    if (state && !FRESH.includes(state.name)) {
      this.#ticking = setInterval(() => this.#tick(), SECOND);
    }
  }

  /** Something was heard over a connection that stands: a heartbeat, an event. */
  beat() {
    this.#heard = Date.now();
    this.#hasBeats = true;
    if (this.#state?.name === "connected") this.#icon.classList.add("beat");
    else this.#tick();
  }

  /**
   * Whether a change of state says that something was heard just now. A connection of which no
   * beats are told counts as heard for as long as it stood.
   *
   * @param {State} state
   * @param {State | null} before
   */
  #isHeard(state, before) {
    if (state.name === "connected") return true;
    if (state.name === "polling" && before?.name !== "polling") return true;
    return before?.name === "connected" && !this.#hasBeats;
  }

  /** @param {State | null} state */
  #explain(state) {
    const reason = state && "reason" in state ? state.reason : "";
    this.#reason.ariaLive = state && FINAL.includes(state.name) ? "polite" : "off";
    this.#reason.dataset["state"] = state?.name ?? "";
    setText(this.#reason, reason && sentence(reason));
    const isPolling = state?.name === "polling";
    setText(this.#retry, isPolling && !reason ? "Update now" : "Reconnect now");
    this.#retry.hidden =
      !state || !(isPolling || state.name === "reconnecting" || FINAL.includes(state.name));
  }

  #tick() {
    const state = this.#state;
    const seconds = Math.ceil((this.#next - performance.now()) / SECOND);
    const until = state?.name === "polling" ? `, again in ${seconds} s` : ` in ${seconds} s`;
    setText(this.#countdown, seconds > 0 ? until : "");
    const isStale = state && this.#heard !== null && !FRESH.includes(state.name);
    setText(this.#age, isStale ? age(this.#heard ?? 0) : "");
  }
}

/** @param {State} state */
function wording(state) {
  const word = WORDS[state.name];
  return state.name === "reconnecting"
    ? `${word}, attempt ${state.attempt} of ${state.of}`
    : word;
}

/** @param {number} heard in Unix ms */
function age(heard) {
  return `Up to date until ${clockTime(heard)}, ${ago(heard, Date.now())}`;
}

/**
 * @param {string} className
 * @param {boolean} isHidden from those who hear the page
 */
function span(className, isHidden) {
  const made = document.createElement("span");
  made.className = className;
  if (isHidden) made.ariaHidden = "true";
  return made;
}
