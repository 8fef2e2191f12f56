/** The list of conversations: each a link, with what was said last and who is online. */

import { element, replaceIfOther, setText } from "../site/dom.js";
import { ago } from "../site/format.js";
import { newest, unread } from "./facts.js";
import { dayName, minute } from "./rows.js";
import { listed } from "./wanted.js";

/** @import { Conversation, Summary } from "./conversation.js" */
/** @import { Person, State } from "./state.js" */

const MOST_SHOWN = 99;

/** @param {string} id */
export function address(id) {
  return `/dashboard/messages?conversation=${encodeURIComponent(id)}`;
}

/** @param {Summary | null | undefined} summary */
export function nameOf(summary) {
  return summary ? (summary.with.name ?? summary.with.id) : "";
}

/**
 * @param {Person | undefined} person
 * @param {number} now in Unix ms
 */
export function presence(person, now) {
  if (!person) return "";
  if (person.isOnline) return "Online";
  return person.lastSeen ? `Last seen ${ago(person.lastSeen, now)}` : "Offline";
}

/**
 * Whether the other one is typing there.
 *
 * @param {State} state
 * @param {string} id
 * @param {number} now in Unix ms
 */
export function isTyping({ typing }, id, now) {
  return (typing.get(id) ?? 0) > now;
}

/**
 * @param {HTMLElement} list
 * @param {State} state
 * @param {(id: string) => string} draft
 * @param {number} now in Unix ms
 */
export function showList(list, state, draft, now) {
  const there = new Map(
    [...list.children].map((item) => [/** @type {HTMLElement} */ (item).dataset["id"], item]),
  );
  const items = listed(state).map((it) => {
    const item = /** @type {HTMLElement} */ (there.get(it.id) ?? blank(it.id));
    showItem(item, it, state, draft(it.id), now);
    return item;
  });
  const focused = document.activeElement;
  replaceIfOther(list, items);
  // What is moved loses the focus.
  if (focused instanceof HTMLElement && list.contains(focused)) focused.focus();
}

/** @param {string} id */
function blank(id) {
  const item = document.createElement("li");
  item.dataset["id"] = id;
  const link = document.createElement("a");
  link.href = address(id);
  const [avatar, badge] = [element("span", "avatar", ""), element("span", "unread", "")];
  avatar.ariaHidden = "true";
  link.append(
    ...[avatar, element("span", "name", ""), element("time", "when", "")],
    ...[element("span", "what", ""), badge, element("span", "presence", "")],
  );
  item.append(link);
  return item;
}

/**
 * @param {HTMLElement} item
 * @param {Conversation} it
 * @param {State} state
 * @param {string} draft
 * @param {number} now
 */
function showItem(item, it, state, draft, now) {
  /** @param {string} name */
  const part = (name) => /** @type {HTMLElement} */ (item.querySelector(`.${name}`));
  const name = nameOf(it.summary);
  const person = state.people.get(it.summary?.with.id ?? "");
  const count = unread(it, state.me);
  const isOpen = it.id === state.open;
  setText(part("avatar"), initials(name));
  setText(part("name"), name);
  part("avatar").dataset["online"] = String(person?.isOnline ?? false);
  part("presence").dataset["online"] = String(person?.isOnline ?? false);
  setText(part("presence"), presence(person, now));
  const typing = isTyping(state, it.id, now);
  const hasDraft = Boolean(draft) && !isOpen;
  part("what").dataset["kind"] = typing ? "typing" : hasDraft ? "draft" : "";
  setText(part("what"), typing ? "Typing…" : hasDraft ? `Draft: ${draft}` : said(it, state.me));
  const last = newest(it);
  setText(part("when"), last ? when("sentAt" in last ? last.sentAt : last.at, now) : "");
  showCount(part("unread"), count);
  item.dataset["unread"] = String(count > 0);
  const link = /** @type {HTMLElement} */ (item.firstElementChild);
  if (isOpen) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

/**
 * @param {HTMLElement} badge
 * @param {number} count
 */
function showCount(badge, count) {
  badge.hidden = count === 0;
  if (badge.dataset["count"] === String(count)) return;
  badge.dataset["count"] = String(count);
  const text = count > MOST_SHOWN ? `${MOST_SHOWN}+` : String(count);
  badge.replaceChildren(text, element("span", "visually-hidden", " unread"));
}

/**
 * @param {Conversation} it
 * @param {string} me
 */
function said(it, me) {
  const last = newest(it);
  if (!last) return "";
  if (!("from" in last)) return `${last.refused === null ? "You" : "Not sent"}: ${last.text}`;
  const text = last.deleted ? "Message deleted" : last.text || "Attachment";
  return last.from === me ? `You: ${text}` : text;
}

/**
 * @param {number} at
 * @param {number} now
 */
function when(at, now) {
  const day = dayName(at, now);
  if (day === "Today") return minute(at);
  return day === "Yesterday" ? day : new Date(at).toLocaleDateString("en-CA");
}

/** @param {string} name */
function initials(name) {
  const words = name.split(/\s+/).filter(Boolean);
  return [words[0], words.length > 1 ? words.at(-1) : ""]
    .map((word) => Array.from(word ?? "")[0] ?? "")
    .join("")
    .toUpperCase();
}
