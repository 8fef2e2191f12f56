/** The page of the deployments: publish one, or follow one's build. */

import * as claim from "./deployments/claim.js";
import { address, showList } from "./deployments/list.js";
import { after, isOver, STATES, told, UNHEARD, write } from "./deployments/log.js";
import * as publish from "./deployments/publish.js";
import { know, remembered } from "./deployments/remembered.js";
import { LogPanel } from "./log/panel.js";
import { request } from "./site/api.js";
import { Connection } from "./site/connection.js";
import { byId, setText } from "./site/dom.js";
import { clockTime, duration } from "./site/format.js";
import { follow } from "./site/live.js";
import { offerPreferences } from "./site/preferences.js";
import { keepToReader } from "./site/session.js";

/** @import { StreamEvent } from "./lastevent/follower.js" */

/** Between two looks at the state, apart from the log, in ms. */
const STATUS_EVERY = 5000;
const SECOND = 1000;

const list = byId("deployments");
/** @type {HTMLInputElement} */
const field = byId("id");
/** @type {HTMLAnchorElement} */
const visit = byId("visit");
/** @type {HTMLProgressElement} */
const bar = byId("bar");
const panel = new LogPanel(byId("log-panel"));
const connection = new Connection(byId("connection"), byId("reason"), byId("reconnect"), () =>
  stream?.reconnect(),
);

/** The deployment that is shown. @type {string | null} */
let shown = null;
/** @type {ReturnType<typeof follow> | null} */
let stream = null;
let build = UNHEARD;
let showing = 0;
/** Whether this reader may hand deployments over; the server decides, the page only offers. */
let mayPublish = true;
/** What is said is that the state cannot be had, which may pass. */
let isUnasked = false;

/**
 * Follow the build of a deployment.
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
  build = UNHEARD;
  claim.forget();
  say("");
  byId("viewer").hidden = false;
  byId("nothing").hidden = true;
  const url = `${path(id)}/stream`;
  stream = follow(url, {
    start: "start",
    onEvent: take,
    onReset: ({ from }) => panel.lose(from),
    onBeat: () => connection.beat(),
    onState: (state) => {
      connection.show(state, stream?.counts.polls);
      if (state.name === "ended") panel.end();
    },
    onOpen: () => panel.update(),
  });
  const followed = stream;
  panel.begin(nameOf(id), { url, write, cursor: () => followed.cursor }, () => followed.counts);
  connection.show(stream.state);
  show();
  void look();
}

/** @param {string} id */
function path(id) {
  return `/api/deploy/vercel/${encodeURIComponent(id)}`;
}

/** @param {string} id */
function nameOf(id) {
  return remembered.find(id)?.name ?? id;
}

/** @param {string} text */
function say(text) {
  isUnasked = false;
  setText(byId("problem"), text);
}

/** Ask for the state, which is to be had when the log is not. */
async function look() {
  const id = shown;
  if (id === null || isOver(build)) return;
  try {
    const status = await request("GET", `${path(id)}/status`);
    if (id !== shown) return;
    build = told(build, status);
    if (isUnasked) say("");
  } catch (error) {
    // Once there is a log, its stream tells of the same trouble.
    if (id !== shown || build.state !== null) return;
    say(error instanceof Error ? error.message : String(error));
    isUnasked = true;
  }
  show();
}

/** @param {StreamEvent} event */
function take(event) {
  write(panel.lines, event);
  build = after(build, event);
  panel.update();
  // A burst of lines is one change of the page.
  showing ||= requestAnimationFrame(show);
}

function show() {
  cancelAnimationFrame(showing);
  showing = 0;
  const { state } = build;
  const known = shown === null ? undefined : remembered.find(shown);
  if (shown !== null && state !== null && known?.state !== state) {
    // Of one that was published elsewhere only the host tells a name.
    const host = known ? undefined : build.url?.match(/^https?:\/\/([^./]+)/)?.[1];
    know({ id: shown, state, ...(host && { name: host }) });
  }
  showList(list, remembered.all(), shown);
  byId("no-deployments").hidden = list.children.length > 0;
  if (shown === null) return;
  setText(byId("title"), nameOf(shown));
  showState();
  const { percent } = build;
  const far = state === "building" && percent !== null ? `${percent} % · ` : "";
  document.title = `${far}${nameOf(shown)}: build · Lastevent`;
}

function showState() {
  const { state, percent, progress, url, lost, error } = build;
  const { word, tone } = state ? STATES[state] : { word: "Not heard of yet", tone: "" };
  const isBuilding = state === "building";
  setText(byId("state"), isBuilding ? progress || word : word);
  byId("state").dataset["tone"] = tone;
  setText(byId("duration"), took());
  byId("progress").hidden = !isBuilding;
  if (percent === null) bar.removeAttribute("value");
  else bar.value = percent;
  visit.hidden = state !== "ready" || url === null;
  if (url?.startsWith("https://")) {
    visit.href = url;
    setText(visit, `Open ${new URL(url).host}`);
  }
  byId("claim").hidden = state !== "ready" || !mayPublish;
  setText(byId("error"), error);
  const away = `Vercel does not answer since ${clockTime(lost)}. Lines come when it does.`;
  setText(byId("news"), lost && isBuilding ? away : "");
}

function took() {
  const { began, ended } = build;
  if (!began || (isOver(build) && !ended)) return "";
  const seconds = Math.max(0, ((ended || Date.now()) - began) / SECOND);
  return `${ended ? "after" : "for"} ${duration(seconds)}`;
}

/** Follow what was asked for by its id, its host or its address. @param {string} text */
async function find(text) {
  const asked = text.trim().replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  try {
    const { id } = await request("GET", `${path(asked)}/status`);
    say("");
    field.value = "";
    select(id, true);
    show();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} id */
function forget(id) {
  const item = list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  const beside = item?.nextElementSibling ?? item?.previousElementSibling;
  remembered.forget(id);
  if (id === shown) leave();
  show();
  const next = beside?.querySelector("button") ?? field;
  next.focus();
}

function leave() {
  stream?.close();
  stream = null;
  shown = null;
  history.replaceState(null, "", "/deployments");
  document.title = "Deployments · Lastevent";
  byId("viewer").hidden = true;
  byId("nothing").hidden = false;
}

/** Show the deployment that the address names, else the newest that is known. */
function selectWanted() {
  const named = new URLSearchParams(location.search).get("deployment");
  const id = named ?? remembered.all()[0]?.id;
  byId("nothing").hidden = id !== undefined;
  if (id !== undefined) select(id, false);
}

/** Offer what this reader may do. */
async function offerRights() {
  const session = await request("GET", "/api/session").catch(() => null);
  if (!session) return;
  mayPublish = session.append.some(isOfDeployments);
  byId("open").toggleAttribute("disabled", !mayPublish);
  byId("may-not").hidden = mayPublish;
  show();
}

/** Whether a pattern of a token covers every deployment. @param {string} pattern */
function isOfDeployments(pattern) {
  return pattern.endsWith("*") && "deploy:".startsWith(pattern.slice(0, -1));
}

list.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (!(event.target instanceof Element)) return;
  const id = event.target.closest("li")?.dataset["id"];
  if (!id) return;
  if (event.target.closest("button")) return forget(id);
  if (!event.target.closest("a")) return;
  event.preventDefault();
  select(id, true);
});
byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  void find(field.value);
});
addEventListener("popstate", selectWanted);
setInterval(show, SECOND);
setInterval(() => {
  if (document.visibilityState === "visible") void look();
}, STATUS_EVERY);

offerPreferences();
keepToReader();
publish.offer(({ id, name }) => {
  know({ id, name, state: "building" });
  select(id, true);
});
claim.offer(() => shown, say);
void offerRights();
show();
selectWanted();
