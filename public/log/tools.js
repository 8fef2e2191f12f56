/** What a reader can do with a log besides searching it: a row of buttons. */

import { setText } from "../site/dom.js";
import { plural } from "../site/format.js";
import { fullText } from "./fulltext.js";
import { isError } from "./lines.js";
import { keepSettings, readSettings } from "./settings.js";

/** @import { Origin } from "./fulltext.js" */
/** @import { Times } from "./times.js" */
/** @import { LogView } from "./view.js" */

export class LogTools {
  element = document.createElement("div");
  /** Where the log comes from, and what a file of it is called. @type {Origin | null} */
  origin = null;
  fileName = "log";
  #view;
  #say;
  #onFilter;
  #errors = button("Errors only");
  #first = button("First error");
  #wrap = button("Wrap");
  #times = timesField();
  #copy = button("Copy");
  #download = button("Download");

  /**
   * @param {LogView} view
   * @param {(text: string) => void} say tells the reader what came of it
   * @param {() => void} onFilter is called when other rows are listed
   */
  constructor(view, say, onFilter) {
    this.#view = view;
    this.#say = say;
    this.#onFilter = onFilter;
    this.#errors.ariaPressed = this.#wrap.ariaPressed = "false";
    this.#errors.title = "Lines of the standard error, errors, and failures";
    this.#wrap.title = "Break long lines";
    this.#copy.title = "Copy the whole log as plain text";
    this.#download.title = "Save the whole log as plain text";
    this.element.className = "log-buttons";
    this.element.append(this.#errors, this.#first, this.#times);
    this.element.append(this.#wrap, this.#copy, this.#download);
    this.#errors.addEventListener("click", () => this.filter(!this.#view.look.errorsOnly));
    this.#first.addEventListener("click", () => this.#goToFirst());
    this.#wrap.addEventListener("click", () => this.#keep({ wrap: !this.#view.look.wrap }));
    this.#times.addEventListener("change", () =>
      this.#keep({ times: /** @type {Times} */ (this.#times.value) }),
    );
    this.#copy.addEventListener("click", () => this.#whole(this.#copy, copied));
    this.#download.addEventListener("click", () =>
      this.#whole(this.#download, (text) => saved(text, this.fileName)),
    );
    this.#show(readSettings());
    this.update();
  }

  /** Lines have come. */
  update() {
    const { errors } = this.#view.lines;
    this.#errors.disabled = errors === 0 && !this.#view.look.errorsOnly;
    this.#first.disabled = errors === 0;
    setText(this.#errors, errors ? `Errors only (${errors.toLocaleString("en")})` : "Errors only");
  }

  /** List the errors only, or everything. @param {boolean} errorsOnly */
  filter(errorsOnly) {
    this.#errors.ariaPressed = String(errorsOnly);
    this.#view.change({ errorsOnly });
    this.#onFilter();
    this.update();
  }

  #goToFirst() {
    const row = this.#view.lines.rows.find(isError);
    if (!row) return;
    this.#view.change({ current: row.serial });
    this.#view.reveal(row.serial);
  }

  /** @param {Partial<{ wrap: boolean, times: Times }>} changes */
  #keep(changes) {
    keepSettings(changes);
    this.#show(changes);
  }

  /** @param {Partial<{ wrap: boolean, times: Times }>} changes */
  #show(changes) {
    this.#view.change(changes);
    const { wrap, times } = this.#view.look;
    this.#wrap.ariaPressed = String(wrap);
    this.#times.value = times;
  }

  /**
   * Do something with the whole text; the promise of it, since what a click allows is soon over.
   *
   * @param {HTMLButtonElement} pressed
   * @param {(text: Promise<string>) => Promise<string>} use returns what came of it
   */
  async #whole(pressed, use) {
    pressed.disabled = true;
    const { lines, look } = this.#view;
    if (lines.dropped) this.#say("Reading the whole log…");
    try {
      this.#say(await use(fullText(lines, this.origin, look.times)));
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
    }
    pressed.disabled = false;
  }
}

/** @param {Promise<string>} text */
async function copied(text) {
  // An error in it is told, and not only that nothing was copied.
  const whole = text.then((it) => new Blob([it], { type: "text/plain" }));
  if (!globalThis.isSecureContext) {
    await whole;
    throw new Error("Browsers copy on https:// pages only. Download saves the log.");
  }
  const item = new ClipboardItem({ "text/plain": whole });
  await Promise.all([whole, navigator.clipboard.write([item])]);
  return `Copied ${plural(lineCount(await text), "line")}.`;
}

/**
 * @param {Promise<string>} text
 * @param {string} name
 */
async function saved(text, name) {
  const whole = await text;
  const url = URL.createObjectURL(new Blob([whole], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `${name.replace(/[^\w.-]+/g, "-")}.txt`;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  return `Saved ${plural(lineCount(whole), "line")} as ${link.download}.`;
}

/** @param {string} text */
function lineCount(text) {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}

/** @param {string} label */
function button(label) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  return made;
}

function timesField() {
  const field = document.createElement("select");
  field.ariaLabel = "Times of the lines";
  field.append(
    new Option("No times", "off"),
    new Option("Relative", "relative"),
    new Option("Absolute", "absolute"),
  );
  return field;
}
