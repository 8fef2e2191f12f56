/**
 * Files on their way to the server: dropped anywhere on the page, or chosen. Each is sent under a
 * key of its own, so that it is one order however often it had to be tried.
 */

import { Refused, request } from "../site/api.js";
import { element, setText } from "../site/dom.js";

const PATH = "/api/purchase-orders";
const LARGEST = 256 * 1024;
const AT_ONCE = 3;
/** @type {Record<string, string>} */
const TYPES = { csv: "text/csv", tsv: "text/csv", json: "application/json" };
const LONGEST_NAME = 200;

/**
 * @typedef {object} Elements
 * @property {HTMLElement} zone shows that files may be dropped
 * @property {HTMLButtonElement} choose
 * @property {HTMLInputElement} input
 * @property {HTMLElement} list gets a row for each file that is not an order yet
 */

export class Uploads {
  #elements;
  #onOrder;
  /** @type {Upload[]} */
  #waiting = [];
  #sending = 0;

  /**
   * @param {Elements} elements
   * @param {(told: any) => void} onOrder gets each order as the server describes it
   */
  constructor(elements, onOrder) {
    this.#elements = elements;
    this.#onOrder = onOrder;
    const { zone, choose, input } = elements;
    choose.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.#take(input.files);
      input.value = ""; // the same file may be chosen again
    });
    // Anywhere: a browser would leave the page for a file that misses the zone.
    addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      zone.dataset["over"] = "true";
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) delete zone.dataset["over"];
    });
    addEventListener("drop", (event) => {
      delete zone.dataset["over"];
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      this.#take(event.dataTransfer.files);
    });
  }

  /** @param {FileList | null} files */
  #take(files) {
    for (const file of files ?? []) {
      const upload = new Upload(file, () => this.#enqueue(upload), this.#elements.choose);
      this.#elements.list.append(upload.row);
      this.#enqueue(upload);
    }
  }

  /** @param {Upload} upload */
  #enqueue(upload) {
    upload.wait();
    this.#waiting.push(upload);
    void this.#work();
  }

  async #work() {
    if (this.#sending >= AT_ONCE) return;
    const upload = this.#waiting.shift();
    if (!upload) return;
    this.#sending += 1;
    const told = await upload.send();
    this.#sending -= 1;
    if (told) this.#onOrder(told);
    void this.#work();
  }
}

/** One file. */
class Upload {
  row = element("li", "upload", "");
  #file;
  #key = randomKey();
  #said = element("span", "said", "");
  #again = element("button", "", "Try again");
  #dismiss = element("button", "", "Dismiss");

  /**
   * @param {File} file
   * @param {() => void} again
   * @param {HTMLElement} after gets the focus of what goes away
   */
  constructor(file, again, after) {
    this.#file = file;
    this.#again.ariaLabel = `Try again: ${file.name}`;
    this.#dismiss.ariaLabel = `Dismiss: ${file.name}`;
    this.#said.role = "status";
    this.#again.addEventListener("click", () => {
      again();
      after.focus();
    });
    this.#dismiss.addEventListener("click", () => {
      this.row.remove();
      after.focus();
    });
    this.row.append(element("strong", "", file.name), this.#said, this.#again, this.#dismiss);
    this.wait();
  }

  wait() {
    this.#say("Sending…", false);
  }

  /** Return the order; null if there is none, which the row says. @returns {Promise<any>} */
  async send() {
    const { name, size } = this.#file;
    if (size > LARGEST) {
      this.#say(`It has ${Math.ceil(size / 1024)} KB; an order has at most 256 KB.`, true);
      this.#again.hidden = true;
      return null;
    }
    const type = TYPES[name.split(".").at(-1)?.toLowerCase() ?? ""] ?? "text/plain";
    const visible = name.replace(/\p{C}/gu, "").slice(0, LONGEST_NAME);
    try {
      // Read first: a file that has changed on the disk meanwhile is no other under the same key.
      const body = new Blob([await this.#file.arrayBuffer()], { type });
      const path = `${PATH}?name=${encodeURIComponent(visible)}`;
      const told = await request("POST", path, body, { "Idempotency-Key": this.#key });
      this.row.remove();
      return told;
    } catch (error) {
      this.#say(said(error), true);
      if (error instanceof Refused && error.status === 422) this.#key = randomKey();
      return null;
    }
  }

  /**
   * @param {string} text
   * @param {boolean} failed
   */
  #say(text, failed) {
    setText(this.#said, text);
    this.row.dataset["failed"] = String(failed);
    this.#again.hidden = this.#dismiss.hidden = !failed;
  }
}

/** @param {unknown} error */
function said(error) {
  if (error instanceof DOMException) return "The file cannot be read.";
  return error instanceof Error ? error.message : String(error);
}

/** Not randomUUID, which only secure contexts have. */
function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
