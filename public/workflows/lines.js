/** The line items of an order: asked for when they are opened, a page at a time. */

import { request } from "../site/api.js";
import { element, setText } from "../site/dom.js";
import { plural } from "../site/format.js";

const PAGE = 50;
const PICTURES = "/api/purchase-orders/images/";

export class LineItems {
  details = document.createElement("details");
  #summary = document.createElement("summary");
  #list = element("ol", "lines", "");
  #problem = element("p", "problem", "");
  #more = document.createElement("button");
  #path;
  #next = 0;
  #wasAsked = false;
  #isBusy = false;
  #isFinal = false;
  #currency = "";

  /** @param {string} order its id */
  constructor(order) {
    this.#path = `/api/purchase-orders/${encodeURIComponent(order)}/lines`;
    this.details.className = "more";
    this.details.hidden = true;
    this.#problem.role = "alert";
    this.#more.textContent = "Show more";
    this.#more.hidden = true;
    this.details.append(this.#summary, this.#list, this.#problem, this.#more);
    this.details.addEventListener("toggle", () => {
      if (this.details.open && !this.#wasAsked) void this.#load();
    });
    this.#more.addEventListener("click", () => void this.#load());
  }

  /**
   * @param {number} count 0: there is nothing to show
   * @param {boolean} isOver what is known of their products and pictures changes no more
   */
  show(count, isOver) {
    this.details.hidden = count === 0;
    setText(this.#summary, plural(count, "line item"));
    const isDone = isOver && !this.#isFinal;
    this.#isFinal = isOver;
    // What was shown before has no pictures yet.
    if (isDone && this.#wasAsked && !this.#isBusy) {
      this.#next = 0;
      void this.#load();
    }
  }

  async #load() {
    if (this.#isBusy) return;
    this.#isBusy = this.#wasAsked = true;
    setText(this.#problem, "");
    try {
      const after = this.#next;
      const path = `${this.#path}?limit=${PAGE}&after=${after}`;
      const { order, lines, next } = await request("GET", path);
      this.#currency = order?.currency ?? "";
      const items = lines.map((/** @type {any} */ line) => this.#item(line));
      if (after === 0) this.#list.replaceChildren(...items);
      else this.#list.append(...items);
      this.#next = next ?? after;
      this.#more.hidden = next === null;
      setText(this.#more, "Show more");
    } catch (error) {
      setText(this.#problem, error instanceof Error ? error.message : String(error));
      setText(this.#more, "Try again");
      this.#more.hidden = false;
    }
    this.#isBusy = false;
  }

  /** @param {any} line */
  #item({ sku, description, quantity, price, confidence, product, images, place }) {
    const item = element("li", "line", "");
    const what = element("p", "what", "");
    const title = description || product?.title || sku;
    if (product?.url) {
      const link = document.createElement("a");
      link.href = product.url;
      link.rel = "noreferrer";
      link.textContent = title;
      what.append(link);
    } else what.append(title);
    what.append(element("span", "hint", product?.sku ?? sku));
    const much = price === null ? `${quantity} ×` : `${quantity} × ${price} ${this.#currency}`;
    const sure = element("span", "sure", `${confidence} %`);
    sure.title = `Line ${place} of the file was read with a confidence of ${confidence} %`;
    if (confidence < 80) sure.dataset["tone"] = "warn";
    item.append(pictures(images, title), what, element("span", "much", much.trim()), sure);
    for (const { state, error } of images) {
      if (state === "refused") item.append(element("p", "refused", `Picture refused: ${error}`));
    }
    return item;
  }
}

/**
 * @param {any[]} images
 * @param {string} title
 */
function pictures(images, title) {
  const small = images.find(({ thumbnail }) => thumbnail);
  if (!small) return element("span", "picture", "");
  const made = document.createElement("img");
  made.className = "picture";
  made.loading = "lazy";
  made.width = made.height = 40;
  made.src = PICTURES + encodeURIComponent(small.thumbnail);
  made.alt = `Picture of ${title}`;
  return made;
}
