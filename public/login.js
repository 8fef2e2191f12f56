/** The sign-in of a development server: its identities, who one is, and what that one may see. */

import { Refused, request } from "./site/api.js";
import { byId, element, replaceIfOther, setText } from "./site/dom.js";
import { announce, onDoubt } from "./site/session.js";

/**
 * @typedef {object} Who
 * @property {string} sub
 * @property {string | null} [name]
 * @property {string | null} [role]
 * @property {string | null} [merchant]
 * @property {string[]} [read]
 * @property {string[]} [append]
 */

/** What an identity may do, and where to go for it. @typedef {{ may: string, pages: string[] }} Rights */

const problem = byId("problem");
const signOut = byId("sign-out");
const identities = byId("identities");

const MESSAGES = "/dashboard/messages";
const WORKFLOWS = "/dashboard/workflows";

/**
 * In words, what a token's claims allow.
 *
 * @param {Who} who
 * @returns {Rights}
 */
function rights({ role, merchant, read = [], append = [] }) {
  if (role === "client") {
    return { may: "A client: begins conversations and sees only those", pages: [MESSAGES] };
  }
  if (role === "professional") {
    return { may: "A professional: answers clients who have written", pages: [MESSAGES] };
  }
  if (merchant) {
    return { may: `A merchant: uploads and follows the orders of ${merchant}`, pages: [WORKFLOWS] };
  }
  const pages = ["/deployments", "/jobs", "/previews", "/dashboard/metrics"];
  if (append.includes("*")) return { may: "Sees and does everything", pages };
  if (read.includes("*")) return { may: "Sees everything, changes nothing", pages };
  return { may: read.length ? `Reads ${read.join(", ")}` : "May see nothing here", pages: [] };
}

/** Do it, and show what went wrong. @param {() => Promise<void>} action */
async function attempt(action) {
  problem.textContent = "";
  try {
    await action();
  } catch (error) {
    problem.textContent = error instanceof Error ? error.message : String(error);
  }
}

async function showWho() {
  /** @type {Who | null} */
  let who = null;
  try {
    who = await request("GET", "/api/session");
  } catch (error) {
    if (!(error instanceof Refused && error.status === 401)) throw error;
  }
  setText(byId("who"), who ? `You are ${who.name ?? who.sub}.` : "You are not signed in.");
  signOut.hidden = who === null;
  showRights(who && rights(who));
  for (const button of identities.querySelectorAll("button")) {
    button.ariaPressed = String(button.dataset["sub"] === who?.sub);
  }
}

/** @param {Rights | null} rights */
function showRights(rights) {
  setText(byId("may"), rights ? `${rights.may}.` : "");
  const links = (rights?.pages ?? []).map((path) => {
    const link = document.createElement("a");
    link.href = path;
    link.className = "button";
    link.textContent = document.querySelector(`.site nav a[href="${path}"]`)?.textContent ?? path;
    return link;
  });
  replaceIfOther(byId("pages"), links);
}

async function showIdentities() {
  const { identities: found } = await request("GET", "/api/login");
  identities.replaceChildren(...found.map(choice));
  byId("choice").hidden = false;
}

/** @param {Who} identity */
function choice(identity) {
  const button = document.createElement("button");
  button.dataset["sub"] = identity.sub;
  button.append(
    element("strong", "", identity.name ?? identity.sub),
    element("span", "hint", rights(identity).may),
  );
  button.addEventListener("click", () =>
    attempt(async () => {
      await request("POST", "/api/login", { sub: identity.sub });
      announce();
      await showWho();
    }),
  );
  const item = document.createElement("li");
  item.append(button);
  return item;
}

signOut.addEventListener("click", () =>
  attempt(async () => {
    await request("DELETE", "/api/session");
    announce();
    await showWho();
  }),
);
onDoubt(() => void attempt(showWho));
await attempt(showIdentities);
const refused = problem.textContent;
await attempt(showWho);
problem.textContent ||= refused;
