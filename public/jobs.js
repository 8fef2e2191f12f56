/** The page of the jobs: one that is followed, and those that were. */

import { after, isOver, UNHEARD } from "./lastevent/job.js";
import { remembered } from "./jobs/remembered.js";
import { brief, line, news, percent, STATES } from "./jobs/words.js";
import { LogView } from "./log/view.js";
import { Connection } from "./site/connection.js";
import { byId, element, replaceIfOther, setText } from "./site/dom.js";
import { plural } from "./site/format.js";
import { follow } from "./site/live.js";
import { keepToReader } from "./site/session.js";

/** @import { State } from "./lastevent.js" */
/** @import { StreamEvent } from "./lastevent/follower.js" */
/** @import { Known } from "./jobs/remembered.js" */

const list = byId("jobs");
/** @type {HTMLInputElement} */
const field = byId("id");
/** @type {HTMLProgressElement} */
const bar = byId("bar");
const view = new LogView(byId("log"), byId("jump"));
const connection = new Connection(byId("connection"), byId("reason"), byId("reconnect"), () =>
  stream?.reconnect(),
);

/** The job that is followed. @type {string | null} */
let followed = null;
/** @type {ReturnType<typeof follow> | null} */
let stream = null;
let job = UNHEARD;
let showing = 0;

/**
 * Follow a job from its beginning.
 *
 * @param {string} id
 */
function select(id) {
  stream?.close();
  followed = id;
  job = UNHEARD;
  view.clear();
  byId("viewer").hidden = false;
  byId("nothing").hidden = true;
  byId("log").ariaLabel = `Updates of job ${id}`;
  stream = follow(`/api/jobs/${encodeURIComponent(id)}/progress`, {
    onEvent: take,
    onReset: lose,
    onState: showState,
    onOpen: showSoon,
    onBeat: () => connection.beat(),
  });
  if (!remembered.find(id)) remembered.remember({ id, state: job.state, progress: job.progress });
  showState(stream.state);
  show();
}

/** @param {StreamEvent} event */
function take(event) {
  const fields = read(event);
  job = after(job, event.type, fields);
  const { kind, text } = line(event.type, fields);
  if (kind === "stdout") view.lines.add(kind, text, false);
  else view.lines.note(kind, text);
  view.update();
  showSoon();
}

/** @param {StreamEvent} event @returns {Record<string, unknown>} */
function read(event) {
  try {
    return event.json() ?? {};
  } catch {
    return { message: event.data };
  }
}

function lose() {
  view.lines.note("gap", "Updates at this place are no longer kept by the server.");
  view.update();
}

/** @param {State} state */
function showState(state) {
  connection.show(state, stream?.counts.polls);
  byId("sign-in").hidden = state.name !== "denied";
  showSoon();
}

/** A burst of updates is one change of the page. */
function showSoon() {
  showing ||= requestAnimationFrame(show);
}

function show() {
  cancelAnimationFrame(showing);
  showing = 0;
  const { word, tone } = STATES[job.state];
  setText(byId("title"), `Job ${followed}`);
  setText(byId("state"), word);
  byId("state").dataset["tone"] = tone;
  showProgress(tone);
  const told = news(job);
  setText(byId("message"), job.message);
  setText(byId("news"), told);
  byId("news").dataset["tone"] = job.lostAt === null ? tone : "warn";
  byId("again").hidden = byId("again-hint").hidden = job.state !== "unavailable";
  showDetails();
  showCounts();
  const { state, progress } = job;
  if (followed && state !== "waiting") remembered.remember({ id: followed, state, progress });
  document.title = `${[title(), followed && `Job ${followed}`].filter(Boolean).join(" · ")} · Lastevent`;
  showList();
}

function title() {
  if (!followed) return "Jobs";
  return job.progress === null || isOver(job) ? STATES[job.state].word : percent(job.progress);
}

/** @param {string} tone */
function showProgress(tone) {
  const { progress, state } = job;
  setText(byId("percent"), progress === null ? "" : percent(progress));
  setText(byId("bar-label"), job.status ? `Progress: ${job.status}` : "Progress");
  bar.dataset["tone"] = tone;
  bar.parentElement?.toggleAttribute("hidden", state === "unavailable" && progress === null);
  if (progress === null && isOver(job)) bar.value = 0;
  else if (progress === null) bar.removeAttribute("value");
  else bar.value = progress;
}

function showDetails() {
  const [title, shown] = job.result === undefined ? ["Details", job.details] : ["Result", job.result];
  byId("details").hidden = shown === undefined || shown === null;
  setText(byId("details-title"), title);
  setText(byId("details-text"), JSON.stringify(shown, null, 2) ?? "");
}

function showCounts() {
  const { plannedEnds = 0, cuts = 0 } = stream?.counts ?? {};
  setText(byId("lines"), plural(view.lines.count, "update"));
  setText(byId("gaps"), job.gaps ? plural(job.gaps, "gap") : "");
  setText(byId("planned"), plural(plannedEnds, "planned end"));
  setText(byId("cuts"), plural(cuts, "cut"));
}

function showList() {
  const jobs = remembered.all();
  replaceIfOther(list, jobs.map(listItem));
  byId("no-jobs").hidden = jobs.length > 0;
}

/** @param {Known} known */
function listItem(known) {
  const { id } = known;
  const now = `${brief(known)} ${id === followed}`;
  const item =
    list.querySelector(`[data-id="${CSS.escape(id)}"]`) ?? document.createElement("li");
  if (!(item instanceof HTMLElement) || item.dataset["now"] === now) return item;
  item.dataset["now"] = now;
  item.dataset["tone"] = STATES[known.state].tone;
  if (!item.firstChild) fill(item, id);
  const link = item.querySelector("a");
  const detail = item.querySelector(".detail");
  if (link) link.ariaCurrent = id === followed ? "page" : null;
  if (detail) detail.textContent = brief(known);
  return item;
}

/**
 * @param {HTMLElement} item
 * @param {string} id
 */
function fill(item, id) {
  item.dataset["id"] = id;
  const link = document.createElement("a");
  link.href = address(id);
  link.append(element("span", "name", id), element("span", "detail", ""));
  const button = element("button", "forget", "Forget");
  button.ariaLabel = `Forget job ${id}`;
  button.addEventListener("click", () => forget(id, item));
  item.append(link, button);
}

/**
 * @param {string} id
 * @param {HTMLElement} item
 */
function forget(id, item) {
  const beside = item.nextElementSibling ?? item.previousElementSibling;
  remembered.forget(id);
  if (id === followed) leave();
  showList();
  const next = beside?.querySelector("button") ?? field;
  next.focus();
}

function leave() {
  stream?.close();
  stream = followed = null;
  connection.show(null);
  byId("viewer").hidden = true;
  byId("nothing").hidden = false;
  document.title = "Jobs · Lastevent";
  history.replaceState(null, "", "/jobs");
}

/** @param {string} id */
function address(id) {
  return `/jobs?job=${encodeURIComponent(id)}`;
}

/** @param {string} id */
function visit(id) {
  if (id !== followed) history.pushState(null, "", address(id));
  select(id);
}

/** The job that the address names, else the last one. */
function selectWanted() {
  const named = new URLSearchParams(location.search).get("job");
  const id = named || remembered.all()[0]?.id;
  if (id) select(id);
  else showList();
}

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = field.value.trim();
  if (!id) return;
  field.value = "";
  visit(id);
});
list.addEventListener("click", (event) => {
  if (!(event.target instanceof Element) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const id = event.target.closest("a")?.closest("li")?.dataset["id"];
  if (!id) return;
  event.preventDefault();
  visit(id);
});
byId("again").addEventListener("click", () => followed && select(followed));
addEventListener("popstate", selectWanted);

keepToReader();
selectWanted();
