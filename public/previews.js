/** The page of the previews: their list, and the log of one. */

import { request, sentence } from "./site/api.js";
import { Connection } from "./site/connection.js";
import { byId, element, replaceIfOther, setText } from "./site/dom.js";
import { clockTime, duration, plural } from "./site/format.js";
import { Stream } from "./lastevent.js";
import { LogView } from "./log/view.js";

/** @import { StreamEvent } from "./lastevent/follower.js" */

/**
 * @typedef {object} Preview
 * @property {string} id
 * @property {string} name
 * @property {"starting" | "running" | "stopping" | "exited" | "failed" | "lost"} state
 * @property {string} started_at
 * @property {number | null} code
 * @property {string | null} signal
 */

const LIST_EVERY = 5000;
const SECOND = 1000;
const RUNNING = ["starting", "running", "stopping"];

const list = byId("previews");
const starters = byId("starters");
const problem = byId("problem");
const viewer = byId("viewer");
/** @type {HTMLButtonElement} */
const stop = byId("stop");
const view = new LogView(byId("log"), byId("jump"));
const connection = new Connection(byId("connection"), byId("reason"), byId("reconnect"), () =>
  stream?.reconnect(),
);

/** The newest first. @type {Preview[]} */
let previews = [];
/** The preview that is shown. @type {string | null} */
let shown = null;
/** @type {Stream | null} */
let stream = null;
/** When the process started and ended, in Unix ms, and how, as its log tells. */
let run = { started: 0, ended: 0, outcome: "" };

async function refresh() {
  try {
    const answer = await request("GET", "/api/previews");
    previews = answer.previews;
    showStarters(answer.names);
    problem.textContent = "";
  } catch (error) {
    say(error);
  }
  showList();
}

/** @param {unknown} error */
function say(error) {
  const text = error instanceof Error ? error.message : String(error);
  if (problem.textContent !== text) problem.textContent = text;
}

/** @param {string[]} names */
function showStarters(names) {
  const buttons = names.map((name) => {
    const same = starters.querySelector(`[data-name="${CSS.escape(name)}"]`);
    if (same) return same;
    const button = document.createElement("button");
    button.textContent = `Start ${name}`;
    button.dataset["name"] = name;
    button.addEventListener("click", () => start(name, button));
    return button;
  });
  replaceIfOther(starters, buttons);
  byId("no-names").hidden = names.length > 0;
}

/**
 * @param {string} name
 * @param {HTMLButtonElement} button
 */
async function start(name, button) {
  button.disabled = true;
  try {
    const { id } = await request("POST", "/api/previews", { name });
    await refresh();
    select(id, true);
  } catch (error) {
    say(error);
  }
  button.disabled = false;
}

function showList() {
  replaceIfOther(list, previews.map(listItem));
  byId("no-previews").hidden = previews.length > 0;
  showFacts();
}

/** @param {Preview} preview */
function listItem(preview) {
  const item =
    list.querySelector(`[data-id="${CSS.escape(preview.id)}"]`) ?? document.createElement("li");
  const detail = `${outcomeOf(preview)}, ${clockTime(Date.parse(preview.started_at))}`;
  const current = preview.id === shown;
  const now = `${detail} ${current}`;
  if (!(item instanceof HTMLElement) || item.dataset["now"] === now) return item;
  item.dataset["id"] = preview.id;
  item.dataset["now"] = now;
  const link = document.createElement("a");
  link.href = address(preview.id);
  if (current) link.ariaCurrent = "page";
  link.append(element("span", "name", preview.name), element("span", "detail", detail));
  item.dataset["state"] = preview.code ? "failed" : preview.state;
  // The link that has the focus is about to be replaced by its like.
  const focused = item.contains(document.activeElement);
  item.replaceChildren(link);
  if (focused) link.focus();
  return item;
}

/** @param {Preview} preview */
function outcomeOf({ state, code, signal }) {
  return state === "exited" ? exitWords({ code, signal }) : state;
}

/**
 * Follow the log of a preview.
 *
 * @param {string} id
 * @param {boolean} visit whether the browser's history gets an entry
 */
function select(id, visit) {
  if (id === shown) return;
  shown = id;
  if (visit) history.pushState(null, "", address(id));
  else history.replaceState(null, "", address(id));
  stream?.close();
  view.clear();
  run = { started: 0, ended: 0, outcome: "" };
  viewer.hidden = false;
  byId("log").ariaLabel = `Log of ${previews.find((preview) => preview.id === id)?.name ?? id}`;
  stream = new Stream(`/api/previews/${encodeURIComponent(id)}/logs/stream`, {
    start: "start",
    onEvent: take,
    onReset: ({ from }) => lose(from),
    onState: (state) => {
      connection.show(state);
      if (state.name === "ended") void refresh();
    },
    onOpen: showCounts,
  });
  connection.show(stream.state);
  showList();
}

/** @param {string | null} from */
function lose(from) {
  const where = from === null ? "Earlier lines are" : "Lines at this place are";
  view.lines.note("gap", `${where} no longer kept by the server.`);
  view.update();
}

/** @param {StreamEvent} event */
function take(event) {
  const fields = read(event);
  const { lines } = view;
  if (event.type === "stdout" || event.type === "stderr") {
    lines.add(event.type, String(fields.text ?? ""), fields.open === true);
  } else if (event.type === "started") {
    run.started = fields.time;
    const until = fields.ends_at ? `, to be ended at ${clockTime(fields.ends_at)}` : "";
    const begun = `${fields.name} started as process ${fields.pid}, ${clockTime(fields.time)}`;
    lines.note("note", begun + until);
  } else if (event.type === "exit") {
    end(fields.time, exitWords(fields));
    lines.note("note", `${run.outcome}, ${clockTime(fields.time)}`);
  } else if (event.type === "failure") {
    end(fields.time, "failed");
    lines.note("failure", sentence(String(fields.error)));
  } else if (event.type === "gap") {
    lines.note("gap", "Output is missing here: nobody could read it.");
  }
  view.update();
  showCountsSoon();
}

/** @param {StreamEvent} event */
function read(event) {
  try {
    return event.json() ?? {};
  } catch {
    return { text: event.data };
  }
}

/** @param {{ code?: number | null, signal?: string | null }} exit */
function exitWords({ code, signal }) {
  return signal ? `ended by ${signal}` : `exited with code ${code ?? "unknown"}`;
}

/**
 * @param {number} time
 * @param {string} outcome
 */
function end(time, outcome) {
  run.ended = time;
  run.outcome = outcome;
  showFacts();
}

function showFacts() {
  const preview = previews.find(({ id }) => id === shown);
  const title = preview?.name ?? shown ?? "";
  setText(byId("title"), title);
  document.title = shown ? `${title}: log · Lastevent` : "Previews · Lastevent";
  const running = preview ? RUNNING.includes(preview.state) && !run.ended : false;
  stop.hidden = !running;
  setText(byId("outcome"), facts(preview));
}

/** @param {Preview | undefined} preview */
function facts(preview) {
  const known = preview && !RUNNING.includes(preview.state) ? outcomeOf(preview) : "";
  const outcome = known || run.outcome || (preview?.state ?? "");
  if (!run.started) return outcome;
  const running = preview !== undefined && RUNNING.includes(preview.state);
  if (!run.ended && !running) return outcome;
  const seconds = ((run.ended || Date.now()) - run.started) / 1000;
  return `${outcome} ${run.ended ? "after" : "for"} ${duration(Math.max(0, seconds))}`;
}

let countsDue = false;
/** A burst of lines must not count for each of them. */
function showCountsSoon() {
  if (countsDue) return;
  countsDue = true;
  setTimeout(() => {
    countsDue = false;
    showCounts();
  }, 100);
}

function showCounts() {
  const { lines } = view;
  const { plannedEnds = 0, cuts = 0 } = stream?.counts ?? {};
  setText(byId("lines"), plural(lines.count, "line"));
  const dropped = `, the first ${lines.dropped.toLocaleString("en")} no longer on this page`;
  setText(byId("dropped"), lines.dropped ? dropped : "");
  setText(byId("planned"), plural(plannedEnds, "planned end"));
  setText(byId("cuts"), plural(cuts, "cut"));
}

/** @param {string} id */
function address(id) {
  return `/previews?preview=${encodeURIComponent(id)}`;
}

/** The preview that the address names, else the newest that runs, else the newest. */
function wanted() {
  const named = new URLSearchParams(location.search).get("preview");
  return named ?? (previews.find(({ state }) => state === "running") ?? previews[0])?.id;
}

function selectWanted() {
  const id = wanted();
  if (id) select(id, false);
}

list.addEventListener("click", (event) => {
  if (!(event.target instanceof Element) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const id = event.target.closest("a")?.closest("li")?.dataset["id"];
  if (!id) return;
  event.preventDefault();
  select(id, true);
});
stop.addEventListener("click", async () => {
  if (!shown) return;
  stop.disabled = true;
  try {
    await request("DELETE", `/api/previews/${encodeURIComponent(shown)}`);
  } catch (error) {
    say(error);
  }
  stop.disabled = false;
  await refresh();
});
addEventListener("popstate", selectWanted);
setInterval(showFacts, SECOND);
setInterval(() => {
  if (document.visibilityState === "visible") void refresh();
}, LIST_EVERY);

await refresh();
selectWanted();
