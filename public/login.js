/** The sign-in of a development server: its identities, and who one is. */

import { Refused, request, sentence } from "./site/api.js";
import { byId } from "./site/dom.js";

/** @typedef {{ sub: string, name: string | null, role: string | null }} Who */

const problem = byId("problem");
const signOut = byId("sign-out");

/** Do it, and show what went wrong. @param {() => Promise<void>} action */
async function attempt(action) {
  problem.textContent = "";
  try {
    await action();
  } catch (error) {
    problem.textContent = error instanceof Error ? sentence(error.message) : String(error);
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
  byId("who").textContent = who ? `You are ${who.name ?? who.sub}.` : "You are not signed in.";
  signOut.hidden = who === null;
  for (const button of byId("identities").querySelectorAll("button")) {
    button.ariaPressed = String(button.dataset["sub"] === who?.sub);
  }
}

async function showIdentities() {
  const { identities } = await request("GET", "/api/login");
  byId("identities").replaceChildren(...identities.map(choice));
  byId("choice").hidden = false;
}

/** @param {{ sub: string, name: string }} identity */
function choice({ sub, name }) {
  const button = document.createElement("button");
  button.textContent = name;
  button.dataset["sub"] = sub;
  button.addEventListener("click", () =>
    attempt(async () => {
      await request("POST", "/api/login", { sub });
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
    await showWho();
  }),
);
await attempt(showIdentities);
const refused = problem.textContent;
await attempt(showWho);
problem.textContent ||= refused;
