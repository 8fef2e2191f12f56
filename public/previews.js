/** The page of the previews: their list, and the log of one. */

import { LogPanel } from "./log/panel.js";
import { address, isRunning, outcomeOf, showList, toneOf } from "./previews/list.js";
import { after, UNHEARD, write } from "./previews/log.js";
import { request } from "./site/api.js";
import { Connection } from "./site/connection.js";
import { byId, replaceIfOther, setText } from "./site/dom.js";
import { duration } from "./site/format.js";
import { follow } from "./site/live.js";
import { offerPreferences } from "./site/preferences.js";
import { keepToReader } from "./site/session.js";

/** @import { StreamEvent } from "./lastevent/follower.js" */
/** @import { Preview } from "./previews/list.js" */

const LIST_EVERY = 5000;
const SECOND = 1000;

const starters = byId("starters");
const problem = byId("problem");
/** @type {HTMLButtonElement} */
const stop = byId("stop");
const panel = new LogPanel(byId("log-panel"));
const connection = new Connection(byId("connection"), byId("reason"), byId("reconnect"), () =>
  stream?.reconnect(),
);

/** The newest first. @type {Preview[]} */
let previews = [];
/** The preview that is shown. @type {string | null} */
let shown = null;
/** @type {ReturnType<typeof follow> | null} */
let stream = null;
let run = UNHEARD;

async function refresh() {
  try {
    const answer = await request("GET", "/api/previews");
    previews = answer.previews;
    showStarters(answer.names);
    problem.textContent = "";
  } catch (error) {
    say(error);
  }
  byId("no-previews").hidden = previews.length > 0;
  show();
}

/** @param {unknown} error */
function say(error) {
  setText(problem, error instanceof Error ? error.message : String(error));
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

/**
 * Follow the log of a preview.
 *
 * @param {string} id
 * @param {boolean} isVisit whether the browser's history gets an entry
 */
function select(id, isVisit) {
  if (id === shown) return;
  shown = id;
  if (isVisit) history.pushState(null, "", address(id));
  else history.replaceState(null, "", address(id) + location.hash);
  stream?.close();
  run = UNHEARD;
  byId("viewer").hidden = false;
  byId("nothing").hidden = true;
  const url = `/api/previews/${encodeURIComponent(id)}/logs/stream`;
  stream = follow(url, {
    start: "start",
    onEvent: take,
    onReset: ({ from }) => panel.lose(from),
    onBeat: () => connection.beat(),
    onState: (state) => {
      connection.show(state, stream?.counts.polls);
      if (state.name !== "ended") return;
      panel.end();
      void refresh();
    },
    onOpen: () => panel.update(),
  });
  const followed = stream;
  const name = previews.find((preview) => preview.id === id)?.name ?? id;
  panel.begin(name, { url, write, cursor: () => followed.cursor }, () => followed.counts);
  connection.show(stream.state);
  show();
}

/** @param {StreamEvent} event */
function take(event) {
  write(panel.lines, event);
  panel.update();
  const now = after(run, event);
  if (now === run) return;
  run = now;
  show();
}

function show() {
  showList(byId("previews"), previews, shown);
  const preview = previews.find(({ id }) => id === shown);
  const title = preview?.name ?? shown ?? "";
  setText(byId("title"), title);
  document.title = shown ? `${title}: log · Lastevent` : "Previews · Lastevent";
  showRun(preview);
}

/** @param {Preview | undefined} preview */
function showRun(preview) {
  const running = preview !== undefined && isRunning(preview) && !run.ended;
  stop.hidden = !running;
  const known = preview && !isRunning(preview) ? outcomeOf(preview) : "";
  const state = byId("state");
  setText(state, known || run.outcome || (preview?.state ?? ""));
  state.dataset["tone"] = preview && !run.outcome ? toneOf(preview) : run.good ? "" : "bad";
  if (preview && !isRunning(preview)) state.dataset["tone"] = toneOf(preview);
  state.hidden = !state.textContent;
  setText(byId("duration"), took(running));
}

/** @param {boolean} running */
function took(running) {
  if (!run.started || (!run.ended && !running)) return "";
  const seconds = ((run.ended || Date.now()) - run.started) / SECOND;
  return `${run.ended ? "after" : "for"} ${duration(Math.max(0, seconds))}`;
}

/** The preview that the address names, else the newest that runs, else the newest. */
function wanted() {
  const named = new URLSearchParams(location.search).get("preview");
  return named ?? (previews.find(isRunning) ?? previews[0])?.id;
}

function selectWanted() {
  const id = wanted();
  byId("nothing").hidden = id !== undefined;
  if (id !== undefined) select(id, false);
}

byId("previews").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (!(event.target instanceof Element)) return;
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
setInterval(show, SECOND);
setInterval(() => {
  if (document.visibilityState === "visible") void refresh();
}, LIST_EVERY);

offerPreferences();
keepToReader();
await refresh();
selectWanted();
