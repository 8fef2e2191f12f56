/** The page of the metrics: how things are now, over time, and by transport. */

import { Refused, request, sentence } from "../site/api.js";
import { byId, element, setText } from "../site/dom.js";
import { ago, clockTime, plural } from "../site/format.js";
import { keepToReader } from "../site/session.js";
import { Chart } from "./chart.js";
import { CARDS, CHARTS } from "./history.js";
import { latency, NONE, percent, plain } from "./numbers.js";
import { fill } from "./table.js";

/** @import { History, Transport } from "./history.js" */

/** By its name: minutes that are shown, how often they are asked for in ms, and what they are. */
const RANGES = {
  hour: { minutes: 60, every: 30_000, said: "This hour" },
  day: { minutes: 1440, every: 120_000, said: "24 hours" },
  month: { minutes: 43_200, every: 600_000, said: "30 days" },
};
const SECOND = 1000;

/** @typedef {keyof typeof RANGES} RangeName */

const charts = CHARTS.map((plan) => new Chart(byId("charts"), plan));
const compared = document.createElement("table");
byId("compared").append(compared);

/** @type {RangeName} */
let range = named(new URLSearchParams(location.search).get("range"));
/** When it was asked for last, and when that was answered, in Unix ms. */
let asked = 0;
let answered = 0;

/** @param {string | null} name @returns {RangeName} */
function named(name) {
  return name === "day" || name === "month" ? name : "hour";
}

async function refresh() {
  asked = Date.now();
  const wanted = range;
  byId("metrics").ariaBusy = "true";
  try {
    /** @type {History} */
    const history = await request("GET", `/api/metrics/history?minutes=${RANGES[wanted].minutes}`);
    if (wanted !== range) return;
    answered = Date.now();
    open("");
    show(history);
  } catch (error) {
    if (wanted === range) fail(error);
  } finally {
    if (wanted === range) byId("metrics").ariaBusy = "false";
  }
  tick();
}

/** @param {unknown} error */
function fail(error) {
  const reason = error instanceof Error ? error.message : String(error);
  const status = error instanceof Refused ? error.status : 0;
  if (status === 401 || status === 403) shut("You may not see the metrics.", reason, true);
  else if (status === 404) shut("There are no metrics.", reason, false);
  else open(answered ? `${reason} What is shown is older.` : reason);
}

/**
 * @param {string} title
 * @param {string} reason
 * @param {boolean} canSignIn
 */
function shut(title, reason, canSignIn) {
  setText(byId("problem"), "");
  setText(byId("shut-title"), title);
  setText(byId("shut-reason"), sentence(reason));
  byId("shut-link").hidden = !canSignIn;
  byId("shut").hidden = false;
  byId("whole").hidden = true;
}

/** @param {string} problem */
function open(problem) {
  setText(byId("problem"), problem);
  byId("shut").hidden = true;
  byId("whole").hidden = false;
  if (problem && !answered) setText(byId("now-hint"), "Nothing could be loaded yet.");
}

/** @param {History} history */
function show(history) {
  showCards(history);
  showAlerts(history);
  const isEmpty = history.points.length === 0;
  byId("nothing").hidden = !isEmpty;
  byId("charts").hidden = isEmpty;
  if (!isEmpty) charts.forEach((chart) => chart.show(history));
  showCompared(history);
}

/** @param {History} history */
function showCards(history) {
  const { now, whole } = history;
  const hint = now
    ? `The last minute, as ${plural(now.servers, "server")} told; latencies of the last five.`
    : "No server told of the last minute: nobody was connected and nothing published, or none runs.";
  setText(byId("now-hint"), hint);
  const cards = CARDS.map(({ name, unit, of }) => {
    const card = element("div", "number", "");
    const value = element("dd", "value", now ? of(now) : NONE);
    if (unit && value.textContent !== NONE) value.append(" ", element("span", "unit", unit));
    const usual = `${RANGES[range].said}: ${whole ? of(whole) : NONE}`;
    card.append(element("dt", "", name), value, element("dd", "hint", usual));
    return card;
  });
  byId("cards").replaceChildren(...cards);
}

/** @param {History} history */
function showAlerts({ thresholds, incidents }) {
  const limit = thresholds.reconnects;
  const told =
    limit === null
      ? "Nobody is alerted: LASTEVENT_ALERT_URL names no receiver, or LASTEVENT_ALERT_RECONNECTS is 0."
      : `Somebody is alerted at ${plain(limit)} reconnects a minute. ` +
        (incidents.length ? "" : "Nothing is wrong at present.");
  setText(byId("threshold"), told);
  const items = incidents.map(({ kind, title, opened }) => {
    const item = document.createElement("li");
    const badge = element("span", "badge", kind.replaceAll("-", " "));
    badge.dataset["tone"] = "bad";
    item.append(badge, ` ${title} `, element("span", "hint", `since ${clockTime(opened)}`));
    return item;
  });
  byId("incidents").replaceChildren(...items);
}

/** @param {History} history */
function showCompared({ transports: { stream, polling } }) {
  /** @type {[string, (it: Transport) => string][]} */
  const lines = [
    ["Users", (it) => plain(it.users)],
    ["Share of users", (it) => percent(it.share)],
    ["Requests a minute and user", (it) => plain(it.requests)],
    ["Delivery p50", (it) => latency(it.p50)],
    ["Delivery p95", (it) => latency(it.p95)],
    ["Events measured", (it) => plain(it.events)],
    ["Planned ends", (it) => plain(it.plannedEnds)],
    ["Cuts", (it) => plain(it.cuts)],
  ];
  const rows = lines.map(([name, of]) => [name, ...[stream, polling].map((it) => told(it, of))]);
  const caption = `Real time against polling: ${RANGES[range].said}`;
  fill(compared, caption, ["Measured", "Real time", "Polling"], rows);
}

/**
 * Of a transport that no page told of, only the number of users is known.
 *
 * @param {Transport} transport
 * @param {(it: Transport) => string} of
 */
function told(transport, of) {
  return transport.users ? of(transport) : NONE;
}

function tick() {
  const updated = answered ? `As of ${clockTime(answered)}, ${ago(answered, Date.now())}` : "";
  setText(byId("updated"), updated);
  const isDue = Date.now() - asked >= RANGES[range].every;
  if (isDue && document.visibilityState === "visible") void refresh();
}

/** @param {RangeName} name */
function choose(name) {
  range = name;
  for (const button of byId("ranges").querySelectorAll("button")) {
    button.ariaPressed = String(button.value === name);
  }
  const address = new URL(location.href);
  address.searchParams.set("range", name);
  history.replaceState(null, "", address);
}

byId("ranges").addEventListener("click", (event) => {
  if (!(event.target instanceof HTMLButtonElement)) return;
  choose(named(event.target.value));
  void refresh();
});
byId("refresh").addEventListener("click", () => void refresh());
document.addEventListener("visibilitychange", tick);
setInterval(tick, SECOND);

if (range !== "hour") choose(range);
keepToReader();
void refresh();
