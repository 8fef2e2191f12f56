/** The page of the messages: the conversations, and what is said in one. */

import { Refused } from "../site/api.js";
import { Connection } from "../site/connection.js";
import { byId, setText } from "../site/dom.js";
import { keepToReader } from "../site/session.js";
import { offerBegin, showBegin } from "./begin.js";
import { Composer } from "./composer.js";
import { words } from "./errand.js";
import { hasEarlier, unread } from "./facts.js";
import { address, isTyping, nameOf, presence, showList } from "./list.js";
import { Messenger } from "./messenger.js";
import { rowsOf } from "./rows.js";
import { MOST_HELD } from "./state.js";
import { Transcript } from "./transcript.js";
import { allUnread, listed } from "./wanted.js";

/** @import { Said } from "./rows.js" */

/** How often words like "2 min ago" are looked at, in ms; a typing notice runs out meanwhile. */
const EVERY = 1000;
const WITH_KEYBOARD = matchMedia("(width >= 48rem) and (hover: hover)");
const main = byId("messages");
/** @type {HTMLDialogElement} */
const deleting = byId("deleting");
const connection = new Connection(byId("connection"), byId("reason"), byId("reconnect"), () =>
  messenger.reconnect(),
);
const messenger = new Messenger({
  onChange: showSoon,
  onConnection: (state, polls) => connection.show(state, polls),
  onBeat: () => connection.beat(),
});
const transcript = new Transcript({
  onEarlier: () => messenger.reading.earlier(),
  onMoved: see,
  onAction: act,
});
const composer = new Composer({
  onSend: (text) => {
    const isTaken = messenger.writing.send(text);
    say(isTaken ? "" : "Too many messages are on their way. Wait until some are sent.");
    transcript.toEnd();
    return isTaken;
  },
  onEdit: (id, text) => messenger.writing.edit(id, text),
  onDraft: (text) => messenger.writing.keepDraft(messenger.state.open ?? "", text),
  onTyping: () => messenger.writing.type(),
  onProblem: (error) => say(words(error)),
});

let isToShow = false;
/** The conversation whose draft is in the composer. @type {string | null} */
let composed = null;
/** Whether whoever has opened it is taken to the composer. */
let isToWrite = false;
/** The message that is to be deleted. */
let doomed = "";

/** @param {string} text */
function say(text) {
  setText(byId("problem"), text);
}

/** A burst of events is one change of the page; also while it is hidden, for its title. */
function showSoon() {
  if (isToShow) return;
  isToShow = true;
  queueMicrotask(() => {
    isToShow = false;
    show();
  });
}

function show() {
  const { state } = messenger;
  const isReady = messenger.who !== null;
  const now = Date.now();
  const count = allUnread(state);
  document.title = `${count ? `(${count}) ` : ""}Messages · Lastevent`;
  main.dataset["shown"] = state.open === null ? "list" : "thread";
  byId("talk").hidden = !isReady;
  showGate();
  if (!isReady) return;
  showList(byId("conversations"), state, (id) => messenger.writing.draft(id), now);
  byId("more").hidden = state.more === null;
  showRole();
  showThread(now);
}

/** What is shown as long as there is no list. */
function showGate() {
  const { who, problem } = messenger;
  byId("gate").hidden = who !== null;
  const isDenied = problem instanceof Refused && [401, 403].includes(problem.status);
  const title = isDenied ? "No access to messages" : "Conversations could not be loaded";
  setText(byId("gate-title"), problem ? title : "Loading conversations");
  setText(byId("gate-words"), problem ? words(problem) : "");
  byId("gate-sign-in").hidden = !isDenied;
  byId("gate-retry").hidden = !problem;
}

function showRole() {
  const isClient = messenger.who?.role === "client";
  const isEmpty = listed(messenger.state).length === 0;
  for (const id of ["new", "new-first"]) byId(id).hidden = !isClient;
  byId("answers-only").hidden = isClient;
  byId("none").hidden = !isEmpty;
  setText(
    byId("none-words"),
    isClient
      ? "Begin one with a professional whose id you know."
      : "A client begins a conversation; it appears here at once, and you answer.",
  );
}

/** @param {number} now in Unix ms */
function showThread(now) {
  const { state } = messenger;
  const { problem } = messenger.reading;
  const { open, conversations, me } = state;
  byId("thread").hidden = open === null;
  byId("nothing").hidden = open !== null;
  if (open === null) return;
  const it = conversations.get(open);
  const name = nameOf(it?.summary);
  setText(byId("with"), name || "Conversation");
  const person = presence(state.people.get(it?.summary?.with.id ?? ""), now);
  byId("person").dataset["online"] = String(person === "Online");
  setText(byId("person"), person);
  setText(byId("typing"), isTyping(state, open, now) ? `${name} is typing…` : "");
  setText(byId("history-problem"), problem);
  byId("history").hidden = !problem;
  const isLoaded = it?.isLoaded ?? false;
  byId("loading").hidden = isLoaded || Boolean(problem);
  byId("composer").hidden = !isLoaded;
  byId("log").ariaLabel = `Messages with ${name}`;
  if (composed !== open && isLoaded) {
    composed = open;
    composer.open(messenger.writing.draft(open));
    if (isToWrite) composer.focus();
    isToWrite = false;
  }
  const isFull = (it?.messages.length ?? 0) >= MOST_HELD;
  const rows = it && isLoaded ? rowsOf(it, state, now) : [];
  if (isLoaded) transcript.show(open, rows, name, !isFull && it !== undefined && hasEarlier(it));
  byId("full").hidden = !isFull;
  transcript.showJump(it ? unread(it, me) : 0);
  byId("blank").hidden = !isLoaded || rows.length > 0;
  see();
}

/** What comes is read while the conversation is in sight and the window has the focus. */
function see() {
  const { open } = messenger.state;
  const isShown = open !== null && transcript.id === open;
  const isSeen = isShown && document.visibilityState === "visible" && document.hasFocus();
  messenger.reading.see(isSeen, transcript.isAtEnd);
}

/**
 * @param {string | null} id
 * @param {boolean} isVisit whether the browser's history gets an entry
 */
function open(id, isVisit) {
  if (id === messenger.state.open) return;
  if (isVisit) history.pushState(null, "", id === null ? "/dashboard/messages" : address(id));
  composed = null;
  say("");
  messenger.reading.open(id);
  if (!isVisit) return;
  show();
  // On a small screen a keyboard would cover what one came to read.
  isToWrite = id !== null && WITH_KEYBOARD.matches;
  if (!isToWrite) byId(id === null ? "list-title" : "with").focus();
}

function openWanted() {
  open(new URLSearchParams(location.search).get("conversation"), false);
}

/**
 * @param {string} action
 * @param {Said} row
 */
function act(action, row) {
  if (action === "retry") messenger.writing.retry(row.key);
  if (action === "discard" || action === "revise") messenger.writing.discard(row.key);
  if (action === "revise") composer.revise(row.text);
  else if (row.id === null && WITH_KEYBOARD.matches) composer.focus(); // the button is gone
  if (row.id === null) return;
  if (action === "edit") composer.edit(row.id, row.text);
  if (action === "delete") {
    doomed = row.id;
    setText(byId("deleting-text"), row.text);
    deleting.showModal();
  }
}

byId("conversations").addEventListener("click", (event) => {
  const { target, ctrlKey, metaKey, shiftKey } = event;
  if (!(target instanceof Element) || ctrlKey || metaKey || shiftKey) return;
  const id = target.closest("a")?.closest("li")?.dataset["id"];
  if (!id) return;
  event.preventDefault();
  open(id, true);
});
byId("back").addEventListener("click", (event) => {
  event.preventDefault();
  open(null, true);
});
byId("more").addEventListener("click", async () => {
  say("");
  await messenger.reading.more().catch((error) => say(words(error)));
});
for (const id of ["new", "new-first"]) byId(id).addEventListener("click", showBegin);
offerBegin(async (to, text, clientId) => {
  open(await messenger.writing.beginWith(to, text, clientId), true);
});
byId("delete").addEventListener("click", async () => {
  deleting.close();
  say("");
  await messenger.writing.remove(doomed).catch((error) => say(words(error)));
});
byId("keep").addEventListener("click", () => deleting.close());
deleting.addEventListener("close", () => transcript.focus());
byId("gate-retry").addEventListener("click", () => messenger.begin());
byId("history-retry").addEventListener("click", () => messenger.reading.again());
addEventListener("popstate", openWanted);
for (const type of ["focus", "blur"]) addEventListener(type, see);
document.addEventListener("visibilitychange", see);
setInterval(() => messenger.who && show(), EVERY);

keepToReader();
openWanted();
messenger.begin();
show();
