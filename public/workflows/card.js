/** An order on the page: how far it is, its stages, its results, and what can be done with it. */

import { element, setText } from "../site/dom.js";
import { clockTime } from "../site/format.js";
import { LineItems } from "./lines.js";
import { current, isDone, isOver } from "./orders.js";
import { Stages, took } from "./stages.js";
import { going, money, orderTitle, percent, STATES } from "./words.js";

/** @import { Order } from "./orders.js" */

/** @typedef {"cancel" | "rerun"} Action */

const SHOP = /^[a-z0-9][a-z0-9.-]*$/i;

export class OrderCard {
  item = element("li", "order", "");
  #title = element("h3", "name", "");
  #badge = element("span", "badge", "");
  #took = element("span", "took", "");
  #cancel = button("Cancel", "danger");
  #rerun = button("Run again");
  #label = document.createElement("label");
  #percent = element("span", "percent", "");
  #bar = document.createElement("progress");
  #problem = element("p", "problem", "");
  #failure = element("p", "failure", "");
  #results = element("dl", "results", "");
  #details = document.createElement("details");
  #summary = document.createElement("summary");
  #stages;
  #lines;
  #shown = "";
  #isCancelling = false;

  /**
   * @param {Readonly<Order>} order
   * @param {(action: Action) => Promise<void>} act throws what the page is to say
   */
  constructor(order, act) {
    const { id } = order;
    this.item.id = id;
    this.#title.id = `${id}-title`;
    this.#bar.id = this.#label.htmlFor = `${id}-bar`;
    this.#bar.max = 100;
    this.#problem.role = "alert";
    const list = element("ol", "stages", "");
    this.#stages = new Stages(list, id);
    this.#lines = new LineItems(id);
    this.#details.className = "more";
    this.#details.append(this.#summary, list);
    // What is going on is worth seeing, and so is where it stopped; the rest is history.
    this.#details.open = order.state !== "completed";
    this.#listen(this.#cancel, "cancel", act);
    this.#listen(this.#rerun, "rerun", act);

    const article = document.createElement("article");
    article.setAttribute("aria-labelledby", this.#title.id);
    const header = document.createElement("header");
    header.append(this.#title, this.#badge, this.#took, this.#cancel, this.#rerun);
    const whole = element("div", "whole", "");
    whole.append(this.#label, this.#percent, this.#bar);
    article.append(header, whole, this.#problem, this.#failure, this.#results, this.#details);
    article.append(this.#lines.details);
    this.item.append(article);
  }

  /**
   * @param {Readonly<Order>} order
   * @param {number} now by the server's clock, in Unix ms
   */
  show(order, now) {
    const { word, tone } = STATES[order.state];
    const over = isOver(order);
    const failed = over && order.state !== "completed";
    const stage = current(order);
    this.item.dataset["state"] = order.state;
    setText(this.#title, orderTitle(order));
    setText(this.#badge, word);
    this.#badge.dataset["tone"] = this.#bar.dataset["tone"] = tone;
    const times = [began(order), took(order, over ? null : now)];
    setText(this.#took, times.filter(Boolean).join(" · "));
    setText(this.#label, going(order, stage) + next(order, now));
    // One that stopped has nothing left to wait for; at how many percent stands beside it.
    this.#bar.value = failed ? 0 : order.progress;
    setText(this.#percent, failed ? "" : percent(order.progress));
    const isTold = failed && stage?.status === "failed" && stage.error === order.error;
    setText(this.#failure, failed && !isTold ? order.error : "");
    this.#showActions(order, over, failed);
    const done = order.stages.filter(isDone).length;
    setText(this.#summary, `Stages: ${done} of ${order.stages.length} done`);
    this.#details.hidden = order.stages.length === 0;
    this.#stages.show(order.stages, now, over);
    this.#showResults(order);
    const { lineItems } = order.results;
    const saved = order.stages.find(({ name }) => name === "database_save");
    const isSaved = saved?.status === "completed" && isNumber(lineItems);
    this.#lines.show(isSaved ? lineItems : 0, over);
  }

  /**
   * @param {Readonly<Order>} order
   * @param {boolean} over
   * @param {boolean} failed
   */
  #showActions({ isListed, cancelling, name, id }, over, failed) {
    const title = orderTitle({ name, id });
    const focused = [this.#cancel, this.#rerun].find((one) => one === document.activeElement);
    this.#cancel.hidden = over || !isListed;
    this.#rerun.hidden = !failed || !isListed;
    setText(this.#cancel, cancelling ? "Cancelling" : "Cancel");
    this.#cancel.ariaLabel = `${this.#cancel.textContent}: ${title}`;
    this.#rerun.ariaLabel = `Run again: ${title}`;
    if (cancelling !== this.#isCancelling) this.#cancel.ariaDisabled = cancelling ? "true" : null;
    this.#isCancelling = cancelling;
    // Who pressed one of them goes on from there.
    if (focused?.hidden) {
      const next = [this.#rerun, this.#cancel].find((one) => !one.hidden);
      (next ?? this.#summary).focus();
    }
  }

  /** @param {Readonly<Order>} order */
  #showResults({ results, stages }) {
    const { lineItems, confidence, pieces, products, created, images, refused, shop } = results;
    /** @type {[string, unknown][]} */
    const known = [
      ["Line items", lineItems],
      ["Confidence", isNumber(confidence) ? `${confidence} %` : null],
      ["Pieces", pieces],
      ["Total", money(results)],
      ["Products", isNumber(created) ? `${products}, ${created} new` : products],
      ["Pictures", isNumber(images) && refused ? `${images}, ${refused} refused` : images],
      ["Shop", typeof shop === "string" && SHOP.test(shop) ? shop : null],
    ];
    const shown = known.filter(([, value]) => value || value === 0);
    const key = JSON.stringify(shown);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#results.replaceChildren(
      ...shown.map(([name, value]) => {
        const group = document.createElement("div");
        const told = element("dd", "", isNumber(value) ? value.toLocaleString("en") : String(value));
        if (name === "Shop") told.replaceChildren(shopLink(String(value)));
        group.append(element("dt", "", name), told);
        return group;
      }),
    );
    this.#results.hidden = stages.length === 0 || shown.length === 0;
  }

  /**
   * @param {HTMLButtonElement} pressed
   * @param {Action} action
   * @param {(action: Action) => Promise<void>} act
   */
  #listen(pressed, action, act) {
    pressed.addEventListener("click", async () => {
      if (pressed.ariaDisabled) return;
      pressed.ariaDisabled = "true";
      setText(this.#problem, "");
      try {
        await act(action);
      } catch (error) {
        setText(this.#problem, error instanceof Error ? error.message : String(error));
      }
      if (!this.#isCancelling) pressed.ariaDisabled = null;
    });
  }
}

/** @param {Readonly<Order>} order */
function began({ createdAt }) {
  return createdAt === null ? "" : clockTime(createdAt);
}

/**
 * @param {Readonly<Order>} order
 * @param {number} now
 */
function next({ againAt, state }, now) {
  const isAhead = againAt !== null && againAt > now && (state === "waiting" || state === "running");
  return isAhead ? ` Next attempt at ${clockTime(againAt)}.` : "";
}

/** @param {string} shop */
function shopLink(shop) {
  const link = document.createElement("a");
  link.href = `https://${shop}/admin/products`;
  link.textContent = shop.replace(/\.myshopify\.com$/, "");
  link.rel = "noreferrer";
  return link;
}

/**
 * @param {string} text
 * @param {string} [className]
 */
function button(text, className = "") {
  const made = document.createElement("button");
  made.textContent = text;
  made.className = className;
  return made;
}

/** @param {unknown} value @returns {value is number} */
function isNumber(value) {
  return typeof value === "number";
}
