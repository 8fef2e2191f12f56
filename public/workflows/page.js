/** The page of a merchant's workflows: its orders, as they are and as they get on. */

import { Refused, request } from "../site/api.js";
import { Connection } from "../site/connection.js";
import { byId, setText } from "../site/dom.js";
import { plural } from "../site/format.js";
import { follow } from "../site/live.js";
import { keepToReader } from "../site/session.js";
import { Activity } from "./activity.js";
import { Alerts } from "./alerts.js";
import { OrderCard } from "./card.js";
import { Feed } from "./feed.js";
import { arrange } from "./list.js";
import { fromEvent, fromSnapshot, isOver, join } from "./orders.js";
import { Uploads } from "./uploads.js";
import { found, orderTitle } from "./words.js";

/** @import { State } from "../lastevent.js" */
/** @import { StreamEvent } from "../lastevent/follower.js" */
/** @import { Action } from "./card.js" */
/** @import { Order } from "./orders.js" */

const ORDERS = "/api/purchase-orders";
const EVENTS = "/api/realtime/events";
const SECOND = 1000;
const PAGE = 50;
/** Of the activity before the page was opened. */
const PAST = 200;
/** How long what ended is waited for together, in ms. */
const TOGETHER = 250;
/** Orders that are asked for one by one, where the list does not have them. */
const MOST_ASKED = 10;

/** @type {Map<string, Readonly<Order>>} */
const orders = new Map();
/** @type {Map<string, OrderCard>} */
const cards = new Map();
const feed = new Feed();
const activity = new Activity(byId("feed"));
const problem = byId("problem");
const alerts = new Alerts(byId("sound"), byId("notify"), byId("alerts-problem"));
const connection = new Connection(byId("connection"), byId("reason"), byId("reconnect"), () =>
  stream?.reconnect(),
);
new Uploads(
  { zone: byId("drop"), choose: byId("choose"), input: byId("files"), list: byId("uploads") },
  (told) => {
    const fact = fromSnapshot(told);
    const before = orders.get(fact.id);
    take(fact);
    // The stream may be faster than this answer: then its end has been told, which is newer.
    if (!before || !isOver(before)) say(`${told.name || "The order"} is taken in.`);
  },
);

/** @type {ReturnType<typeof follow> | null} */
let stream = null;
/** By how much the server's clock is ahead of ours, in ms. */
let skew = 0;
/** Where the list goes on, null if it is all there. @type {string | null} */
let older = null;
let showing = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let refreshing;
/** What to ask for again. @type {Set<string>} */
const stale = new Set();

async function begin() {
  byId("again").hidden = true;
  setText(problem, "");
  try {
    // First how all is, then what comes: its cursor was taken before it, so nothing is missed.
    const { cursor } = await load("");
    await recall();
    show();
    stream = follow(EVENTS, {
      cursor,
      onEvent: hear,
      onReset: () => void lose(),
      onState: showState,
      onBeat: beat,
      sentAt: (event) => time(read(event)),
    });
    showState(stream.state);
  } catch (error) {
    if (error instanceof Refused && [401, 403].includes(error.status)) return deny(error.message);
    fail(error);
    byId("again").hidden = false;
  }
  byId("loading").hidden = true;
  show();
}

/**
 * Take a page of the list in.
 *
 * @param {string} after
 * @returns {Promise<{ cursor: string, next: string | null, ids: Set<string> }>}
 */
async function load(after) {
  const path = `${ORDERS}?limit=${PAGE}${after && `&after=${encodeURIComponent(after)}`}`;
  const { purchaseOrders, next, cursor } = await request("GET", path);
  for (const told of purchaseOrders) take(fromSnapshot(told));
  if (after || orders.size <= PAGE) older = next;
  byId("more").hidden = older === null;
  return { cursor, next, ids: new Set(purchaseOrders.map((/** @type {any} */ { id }) => id)) };
}

/** Ask for what happened before: it is told once, though the stream may tell it again. */
async function recall() {
  const accept = { Accept: "application/json" };
  try {
    const { events } = await request("GET", `${EVENTS}?from=last:${PAST}`, undefined, accept);
    for (const { id, type, data, time } of events) feed.add({ id, type }, parsed(data), time);
  } catch (error) {
    fail(error); // the orders are there all the same
  }
}

/** @param {StreamEvent} event */
function hear(event) {
  connection.beat();
  const fields = read(event);
  const poId = String(fields["poId"]);
  const before = orders.get(poId);
  const fact = fromEvent(event.type, fields, before);
  if (fact) take(fact);
  feed.add(event, fields, Date.now() + skew);
  const order = orders.get(poId);
  // What is not told of an order: when it began, its name; and of its end, how long all took.
  if (order && (!before || (isOver(order) && !isOver(before)))) refresh(poId);
  showSoon();
}

/** Parts of what was told are lost: how all is says what came of them. */
async function lose() {
  feed.note("Some activity is no longer kept by the server.", Date.now());
  try {
    await load("");
  } catch (error) {
    fail(error);
  }
}

/**
 * Know this of an order from now on, and tell of its end.
 *
 * @param {Readonly<Order>} fact
 */
function take(fact) {
  const before = orders.get(fact.id);
  const order = join(before, fact);
  orders.set(fact.id, order);
  if (before && !(isOver(before) && before.round === order.round) && isOver(order)) tell(order);
  showSoon();
}

/** @param {Readonly<Order>} order */
function tell(order) {
  const how = order.state === "cancelled" ? "was cancelled" : `has ${order.state}`;
  const title = `${orderTitle(order)} ${how}`;
  const isGood = order.state === "completed";
  const text = isGood ? found(order.results) : order.error;
  say(isGood ? `${title}.` : `${title}: ${text}`);
  void alerts.tell({ id: order.id, round: order.round, title, text, isGood });
}

/** Ask for an order again, together with others that just ended. @param {string} id */
function refresh(id) {
  stale.add(id);
  refreshing ??= setTimeout(async () => {
    refreshing = undefined;
    const wanted = [...stale];
    stale.clear();
    try {
      const { ids } = await load("");
      const missing = wanted.filter((one) => !ids.has(one)).slice(0, MOST_ASKED);
      await Promise.all(missing.map(ask));
    } catch (error) {
      fail(error);
    }
  }, TOGETHER);
}

/** @param {string} id */
async function ask(id) {
  try {
    take(fromSnapshot(await request("GET", `${ORDERS}/${encodeURIComponent(id)}`)));
  } catch (error) {
    // Somebody else tells of it, and has it.
    if (!(error instanceof Refused && error.status === 404)) throw error;
  }
}

/**
 * @param {string} id
 * @param {Action} action
 */
async function act(id, action) {
  const path = `${ORDERS}/${encodeURIComponent(id)}/${action}`;
  take(fromSnapshot(await request("POST", path)));
  show();
}

/** @param {number | null} time */
function beat(time) {
  connection.beat();
  if (time !== null) skew = time - Date.now();
}

/** @param {State} state */
function showState(state) {
  connection.show(state, stream?.counts.polls);
  byId("sign-in").hidden = state.name !== "denied";
  if (state.name === "connected") setText(problem, "");
}

/** A burst of events is one change of the page. */
function showSoon() {
  showing ||= requestAnimationFrame(show);
}

function show() {
  cancelAnimationFrame(showing);
  showing = 0;
  const all = [...orders.values()].sort(byAge);
  arrange(byId("orders"), all.map(cardOf));
  byId("no-orders").hidden = all.length > 0 || !stream;
  const title = (/** @type {string} */ id) => orderTitle(orders.get(id) ?? { id, name: "" });
  activity.show(feed.entries, title, stream !== null);
  byId("no-activity").hidden = feed.entries.length > 0;
  showTally(all);
}

/**
 * The newest first; what nobody has a record of goes by when it was heard of.
 *
 * @param {Readonly<Order>} one
 * @param {Readonly<Order>} other
 */
function byAge(one, other) {
  const times = [one, other].map(({ createdAt, startedAt }) => createdAt ?? startedAt ?? Infinity);
  const [first = 0, second = 0] = times;
  return first === second ? (one.id < other.id ? -1 : 1) : second - first;
}

/** @param {Readonly<Order>} order */
function cardOf(order) {
  let card = cards.get(order.id);
  if (!card) {
    card = new OrderCard(order, (action) => act(order.id, action));
    cards.set(order.id, card);
  }
  card.show(order, Date.now() + skew);
  return card.item;
}

/** @param {Readonly<Order>[]} all */
function showTally(all) {
  const count = (/** @type {Order["state"][]} */ ...states) =>
    all.filter(({ state }) => states.includes(state)).length;
  const running = count("waiting", "running");
  const read = all.map(({ results }) => results["lineItems"]).filter((n) => typeof n === "number");
  const sure = all.map(({ results }) => results["confidence"]).filter((n) => typeof n === "number");
  setText(byId("tally-running"), String(running));
  setText(byId("tally-completed"), String(count("completed")));
  setText(byId("tally-failed"), String(count("failed")));
  setText(byId("tally-cancelled"), String(count("cancelled")));
  setText(byId("tally-lines"), sum(read).toLocaleString("en"));
  setText(byId("tally-sure"), sure.length ? `${Math.floor(sum(sure) / sure.length)} %` : "–");
  const newest = `Of the newest ${plural(all.length, "order")}`;
  setText(byId("tally-of"), older ? newest : "Of all orders");
  const title = running ? `${running} under way · Workflows` : "Workflows";
  document.title = `${title} · Lastevent`;
}

/** @param {number[]} numbers */
function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0);
}

/** To those who hear the page. @param {string} text */
function say(text) {
  byId("news").textContent = text;
}

/** @param {unknown} error */
function fail(error) {
  setText(problem, error instanceof Error ? error.message : String(error));
}

/** @param {string} reason */
function deny(reason) {
  byId("loading").hidden = byId("board").hidden = byId("alerts").hidden = true;
  byId("denied").hidden = false;
  setText(byId("denied-reason"), reason);
}

/** @param {StreamEvent} event */
function read(event) {
  return parsed(event.data);
}

/** @param {string} data @returns {Record<string, unknown>} */
function parsed(data) {
  try {
    const value = JSON.parse(data);
    return value !== null && typeof value === "object" ? value : {};
  } catch {
    return {};
  }
}

/** @param {Record<string, unknown>} fields */
function time({ time }) {
  return typeof time === "number" ? time : null;
}

byId("again").addEventListener("click", () => void begin());
byId("more").addEventListener("click", async () => {
  try {
    await load(older ?? "");
  } catch (error) {
    fail(error);
  }
  show();
});
setInterval(() => {
  if (document.visibilityState === "visible") show();
}, SECOND);

keepToReader();
await begin();
