/** Orders, their stages and what they found, in words. */

import { sentence } from "../site/api.js";
import { plural } from "../site/format.js";

/** @import { Order, OrderState, Stage, Status } from "./orders.js" */

/** @typedef {{ word: string, tone: string }} Badge */

/** @type {Record<OrderState, Badge>} */
export const STATES = {
  waiting: { word: "Waiting", tone: "" },
  running: { word: "Running", tone: "accent" },
  completed: { word: "Completed", tone: "good" },
  failed: { word: "Failed", tone: "bad" },
  cancelled: { word: "Cancelled", tone: "warn" },
};

/** @type {Record<Status, Badge>} */
export const STATUSES = {
  pending: { word: "Waiting", tone: "" },
  running: { word: "Running", tone: "accent" },
  completed: { word: "Done", tone: "good" },
  skipped: { word: "Skipped", tone: "" },
  failed: { word: "Failed", tone: "bad" },
};

/** @type {Record<string, string>} */
const STAGES = {
  ai_parsing: "AI parsing",
  database_save: "Database save",
  product_draft_creation: "Product drafts",
  image_attachment: "Image attachment",
  background_image_processing: "Image processing",
  shopify_sync: "Shopify sync",
  status_update: "Status update",
};

/** Between the faults of a file, as the server joins them. */
const NEXT_FAULT = /; (?=line \d+: |and \d+ more$)/;
const FAULT = /^line (\d+): (.+)$/s;

/** A workflow of somebody's own has stages of any name. @param {string} name */
export function stageTitle(name) {
  const spaced = name.replaceAll("_", " ");
  return STAGES[name] ?? spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** @param {Pick<Order, "id" | "name">} order */
export function orderTitle({ id, name }) {
  return name || `Order ${id}`;
}

/** @param {number} progress 0 to 100 */
export function percent(progress) {
  return `${Math.floor(progress)} %`;
}

/**
 * What a stage or an order found, in a line; empty if that is nothing we know of.
 *
 * @param {Readonly<Record<string, unknown>>} result
 */
export function found(result) {
  const { lineItems, confidence, pieces, products, created, images, refused } = result;
  const { createdInShop, inShop } = result;
  return [
    count(lineItems, "line item"),
    isNumber(confidence) ? `confidence ${confidence} %` : "",
    count(pieces, "piece"),
    money(result),
    count(products, "product") + (isNumber(created) ? `, ${created} new` : ""),
    isNumber(createdInShop) ? `${createdInShop} new in the shop` : "",
    isNumber(inShop) ? `${inShop} in the shop` : "",
    count(images, "picture") + (isNumber(refused) && refused > 0 ? `, ${refused} refused` : ""),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** The sum of an order; empty if it has none. @param {Readonly<Record<string, unknown>>} result */
export function money({ total, currency }) {
  if (typeof total !== "string" || !total) return "";
  const amount = Number(total);
  const shown = Number.isFinite(amount)
    ? amount.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })
    : total;
  return typeof currency === "string" && currency ? `${shown} ${currency}` : shown;
}

/**
 * What is wrong with a file, line by line; what is not about a line has none.
 *
 * @param {string} error
 * @returns {{ line: number | null, what: string }[]}
 */
export function faults(error) {
  return error.split(NEXT_FAULT).map((part) => {
    const [, line, what] = FAULT.exec(part) ?? [];
    return line && what
      ? { line: Number(line), what: sentence(what) }
      : { line: null, what: part && sentence(part) };
  });
}

/**
 * What is going on in an order, in a sentence: the words of the stage that is at work, or how it
 * ended.
 *
 * @param {Readonly<Order>} order
 * @param {Readonly<Stage> | undefined} stage the first that is not done
 */
export function going(order, stage) {
  const { state, cancelling, progress } = order;
  if (state === "completed") return "All stages are done.";
  if (state === "failed") {
    const isUnread = stage?.name === "ai_parsing" && FAULT.test(stage.error);
    const advice = isUnread ? " Correct the file and send it again." : "";
    return `Stopped at ${percent(progress)}.${advice}`;
  }
  if (state === "cancelled") return `Cancelled at ${percent(progress)}.`;
  if (cancelling) return "It is being cancelled.";
  if (!stage) return "Its last stage is done.";
  if (stage.status !== "running") return `${stageTitle(stage.name)} is next.`;
  return sentence(`${stageTitle(stage.name)}: ${stage.message || "it has begun"}`);
}

/**
 * @param {unknown} value
 * @param {string} noun
 */
function count(value, noun) {
  return isNumber(value) ? plural(value, noun) : "";
}

/** @param {unknown} value @returns {value is number} */
function isNumber(value) {
  return typeof value === "number";
}
