/**
 * A tone and a desktop notification when an order is over: each off until somebody wants it, each
 * made by one tab, however many are open.
 */

import { preferences } from "../lastevent/preferences.js";
import { setText } from "../site/dom.js";
import { once } from "./once.js";

/** @typedef {{ id: string, round: number, title: string, text: string, isGood: boolean }} News */

/** By how much a tab that is looked at goes first, in ms. */
const AHEAD = 500;
/** Hz, each for half of the tone. */
const GOOD = /** @type {const} */ ([660, 880]);
const BAD = /** @type {const} */ ([440, 330]);
const NOTE_SECONDS = 0.14;
const LOUDNESS = 0.12;
const REFUSED = "This browser does not allow notifications here: its settings for this site do.";

export class Alerts {
  #sound;
  #notify;
  #problem;
  /** @type {AudioContext | null} */
  #audio = null;

  /**
   * @param {HTMLButtonElement} sound
   * @param {HTMLButtonElement} notify
   * @param {HTMLElement} problem says why a wish cannot be met
   */
  constructor(sound, notify, problem) {
    this.#sound = sound;
    this.#notify = notify;
    this.#problem = problem;
    sound.addEventListener("click", () => {
      preferences.set({ sound: !preferences.get().sound });
      if (preferences.get().sound) this.#play(true); // so that one knows what to listen for
    });
    notify.addEventListener("click", () => void this.#wish());
    preferences.subscribe(() => this.#show());
    // After a reload no page may sound before its reader has done something there.
    for (const type of ["pointerdown", "keydown"]) {
      addEventListener(type, () => void this.#audio?.resume(), { passive: true });
    }
    this.#show();
  }

  /** @param {News} news */
  async tell(news) {
    const { sound, notifications } = preferences.get();
    const name = `${news.id} ${news.round}`;
    if (sound && maySound()) void once(`sound ${name}`, () => this.#play(news.isGood));
    if (!notifications) return;
    // Who looks at one of the tabs sees it there, and has nothing pop up from another.
    if (!document.hasFocus()) await new Promise((resolve) => setTimeout(resolve, AHEAD));
    await once(`notification ${name}`, () => document.hasFocus() || this.#pop(news));
  }

  #show() {
    const { sound, notifications } = preferences.get();
    this.#sound.ariaPressed = String(sound);
    this.#notify.ariaPressed = String(notifications && isAllowed());
  }

  async #wish() {
    setText(this.#problem, "");
    const wanted = !(preferences.get().notifications && isAllowed());
    if (wanted && "Notification" in globalThis) await Notification.requestPermission();
    if (wanted && !isAllowed()) setText(this.#problem, REFUSED);
    preferences.set({ notifications: wanted && isAllowed() });
    this.#show();
  }

  /** @param {News} news */
  #pop({ id, round, title, text }) {
    if (!isAllowed()) return;
    try {
      const tag = `${id} ${round}`;
      const made = new Notification(title, { body: text, tag, icon: "/favicon.svg" });
      made.onclick = () => {
        focus();
        location.hash = id;
        made.close();
      };
    } catch {
      // Some phones have the class, and let only service workers use it.
      preferences.set({ notifications: false });
      setText(this.#problem, REFUSED);
    }
  }

  /** @param {boolean} isGood */
  #play(isGood) {
    const audio = (this.#audio ??= new AudioContext());
    void audio.resume();
    const gain = audio.createGain();
    gain.connect(audio.destination);
    (isGood ? GOOD : BAD).forEach((frequency, place) => {
      const begin = audio.currentTime + place * NOTE_SECONDS;
      const tone = audio.createOscillator();
      tone.frequency.value = frequency;
      tone.connect(gain);
      tone.start(begin);
      tone.stop(begin + NOTE_SECONDS);
    });
    // From nothing and back to it: a tone that is cut clicks.
    const end = audio.currentTime + 2 * NOTE_SECONDS;
    gain.gain.setValueAtTime(0.0001, audio.currentTime);
    gain.gain.exponentialRampToValueAtTime(LOUDNESS, audio.currentTime + 0.03);
    gain.gain.exponentialRampToValueAtTime(0.0001, end);
  }
}

function isAllowed() {
  return "Notification" in globalThis && Notification.permission === "granted";
}

/** A tab in which nothing was done since it was loaded would be silent in the place of another. */
function maySound() {
  return navigator.userActivation?.hasBeenActive ?? true;
}
