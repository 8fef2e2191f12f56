/** The page of the connection test: a trial that runs, and what it has found. */

import { fill } from "../metrics/table.js";
import { Refused, request } from "../site/api.js";
import { Connection } from "../site/connection.js";
import { byId, element, setText } from "../site/dom.js";
import { clockTime } from "../site/format.js";
import { ALL, ask, NAMES } from "./faults.js";
import { findings, line, readers } from "./findings.js";
import { RawLog } from "./raw.js";
import { report } from "./report.js";
import { Test } from "./test.js";
import { Trial } from "./trial.js";

/** @import { State } from "../lastevent.js" */
/** @import { Asked, Outcome } from "./faults.js" */
/** @import { Facts, Finding } from "./findings.js" */
/** @import { Native } from "./native.js" */

/** How often what has changed is shown, and what grows by itself, in ms. */
const TICK = 500;
/** How long the last numbers are waited for. */
const LAST = 3000;
const MOST_OUTCOMES = 40;
const MOST_LEGS = 12;
/** @type {Record<Native["state"], string>} */
const NATIVE = {
  connecting: "The EventSource is connecting.",
  connected: "The EventSource is connected.",
  reconnecting: "The EventSource comes back.",
  "given up": "The EventSource has given up for good: a page has to open another, with its cursor.",
  closed: "The EventSource is closed.",
};

/** @type {HTMLButtonElement} */
const start = byId("start");
/** @type {HTMLSelectElement} */
const pace = byId("pace");
/** @type {HTMLTableElement} */
const table = byId("readers");
/** @type {HTMLDetailsElement} */
const details = byId("report");
const raw = new RawLog(byId("raw"), byId("raw-count"));
const connection = new Connection(byId("connection"), byId("reason"), byId("reconnect"), () =>
  test?.stream.reconnect(),
);

/** @type {Test | null} */
let test = null;
let isEnding = false;
/** What the server is, once it has been asked. */
let server = "not known";

async function begin() {
  start.disabled = true;
  setText(byId("problem"), "");
  setText(byId("said"), "");
  try {
    const trial = await Trial.begin(() => trial.over && void finish());
    raw.clear();
    test = new Test(trial, {
      onRaw: (event) => raw.add(event),
      onState: showState,
      onBeat: () => connection.beat(),
    });
    showOutcomes(test.outcomes);
    trial.run(Number(pace.value));
    void askServer();
    showStage(null);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const isShut = error instanceof Refused && [401, 403].includes(error.status);
    if (isShut) showStage(reason);
    else setText(byId("problem"), reason);
  }
  start.disabled = false;
  show();
}

/** Publish no more, wait for what is on its way, and let go. */
async function finish() {
  const ended = test;
  if (!ended || ended.ended || isEnding) return;
  isEnding = true;
  ended.trial.stop("Stopped.");
  const began = performance.now();
  const isDone = () => ended.came.received >= ended.trial.published.size;
  while (!isDone() && performance.now() - began < LAST) {
    await new Promise((resolve) => setTimeout(resolve, TICK / 5));
  }
  ended.end();
  connection.show(null);
  isEnding = false;
  setText(byId("said"), `${ended.trial.over} What was found stays here until the next start.`);
  show();
}

/** @param {string | null} reason why there is no access */
function showStage(reason) {
  byId("shut").hidden = reason === null;
  setText(byId("shut-reason"), reason ?? "");
  byId("nothing").hidden = reason !== null || test !== null;
  byId("whole").hidden = reason !== null || test === null;
}

/** @param {State} state */
function showState(state) {
  connection.show(state, test?.facts.polls);
  show();
}

function show() {
  const isRunning = test !== null && !test.ended;
  setText(start, isRunning ? "Stop" : test ? "Start again" : "Start");
  start.classList.toggle("primary", !isRunning);
  pace.disabled = isRunning;
  byId("copy").hidden = test === null;
  if (!test) return;
  const { facts } = test;
  showFindings(findings(facts));
  fill(table, "Two readers of one stream", ["Counted", "This page", "EventSource"], readers(facts));
  setText(byId("native"), NATIVE[test.native.state]);
  byId("native-open").hidden = test.native.state !== "given up" || !isRunning;
  showLegs(facts);
  showFaults(isRunning);
  if (details.open) setText(byId("report-text"), text());
}

/** @param {Finding[]} found */
function showFindings(found) {
  const list = byId("findings");
  if (!list.childElementCount) list.append(...found.map(({ name }) => card(name)));
  found.forEach(({ value, word, tone, text }, place) => {
    const made = /** @type {HTMLElement} */ (list.children[place]);
    const [, badge, shown, hint] = /** @type {HTMLElement[]} */ ([...made.children]);
    if (!badge?.firstElementChild || !shown || !hint) return;
    made.dataset["tone"] = tone;
    const label = /** @type {HTMLElement} */ (badge.firstElementChild);
    label.dataset["tone"] = tone;
    setText(label, word);
    badge.hidden = !word;
    setText(shown, value);
    setText(hint, text);
  });
}

/** @param {string} name */
function card(name) {
  const made = element("div", "finding", "");
  const badge = element("dd", "verdict", "");
  badge.append(element("span", "badge", ""));
  const [value, hint] = ["value", "hint"].map((of) => element("dd", of, ""));
  made.append(element("dt", "", name), badge, value ?? "", hint ?? "");
  return made;
}

/** @param {Facts} facts */
function showLegs({ wire, trial, now }) {
  const list = byId("legs");
  const shown = wire.legs.slice(-MOST_LEGS).reverse();
  while (list.childElementCount > shown.length) list.lastElementChild?.remove();
  while (list.childElementCount < shown.length) list.append(document.createElement("li"));
  shown.forEach((leg, place) => {
    const item = /** @type {HTMLElement} */ (list.children[place]);
    item.dataset["end"] = leg.end ?? "";
    setText(item, line(leg, trial, now));
  });
}

/** @param {boolean} isRunning */
function showFaults(isRunning) {
  const name = test?.stream.state.name;
  const isFree = isRunning && name !== "ended" && !test?.asked;
  for (const button of byId("faults").querySelectorAll("button")) button.disabled = !isFree;
  /** @type {HTMLButtonElement} */ (byId("all")).disabled = !isFree;
  byId("go-on").hidden = name !== "ended" || !isRunning;
}

/** @param {Asked} asked */
async function askFor(asked) {
  const own = test;
  if (!own || own.asked) return;
  own.asked = asked;
  const patience = asked === "stall" ? ", until nothing was heard for two heartbeats" : "";
  setText(byId("happening"), `${NAMES[asked]}${patience} …`);
  show();
  await ready(own);
  const outcome = await ask(asked, own.trial, own.wire);
  own.outcomes.push(outcome);
  if (own.outcomes.length > MOST_OUTCOMES) own.outcomes.shift();
  own.asked = null;
  if (own !== test) return;
  setText(byId("happening"), "");
  showOutcomes(own.outcomes);
  show();
}

async function askForAll() {
  const own = test;
  for (const asked of ALL) {
    if (own !== test || !own || own.ended || own.trial.over) return;
    await askFor(asked);
  }
}

/** Wait for a response that could obey: there is none between two. @param {Test} own */
async function ready(own) {
  const began = performance.now();
  while (!own.isLive && performance.now() - began < LAST) {
    await new Promise((resolve) => setTimeout(resolve, TICK / 5));
  }
}

/** @param {Outcome[]} outcomes */
function showOutcomes(outcomes) {
  const items = outcomes.map(({ asked, time, tone, text }) => {
    const item = document.createElement("li");
    item.dataset["tone"] = tone;
    const name = element("strong", "", NAMES[asked]);
    item.append(element("time", "", clockTime(time)), name, `: ${text}`);
    return item;
  });
  byId("outcomes").replaceChildren(...items.reverse());
}

function text() {
  if (!test) return "";
  const { facts, outcomes, began, ended } = test;
  const { origin } = location;
  const place = { browser: navigator.userAgent, origin, server, began, ended: ended || Date.now() };
  return report(facts, outcomes, place);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(text());
    setText(byId("said"), "Copied the report.");
  } catch {
    details.open = true;
    setText(byId("report-text"), text());
    setText(byId("said"), "The browser does not let this page copy. Select the report below.");
  }
}

async function askServer() {
  try {
    const { version, store } = await request("GET", "/api/health");
    server = `Lastevent ${version}, store ${store}`;
  } catch {
    server = "does not say what it is";
  }
}

start.addEventListener("click", () => void (test && !test.ended ? finish() : begin()));
byId("copy").addEventListener("click", () => void copy());
byId("all").addEventListener("click", () => void askForAll());
byId("go-on").addEventListener("click", () => test?.goOn());
byId("native-open").addEventListener("click", () => test?.native.open());
byId("hold").addEventListener("change", ({ target }) => {
  raw.isHeld = /** @type {HTMLInputElement} */ (target).checked;
});
byId("faults").addEventListener("click", ({ target }) => {
  const button = target instanceof Element && target.closest("button");
  if (button) void askFor(/** @type {Asked} */ (button.value));
});
details.addEventListener("toggle", show);
setInterval(() => test && !test.ended && show(), TICK);
