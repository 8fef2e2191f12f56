/** Hands a deployment over: a link by which somebody takes its project into their account. */

import { request } from "../site/api.js";
import { byId, setText } from "../site/dom.js";
import { clockTime } from "../site/format.js";

/** @type {HTMLButtonElement} */
const button = byId("claim");
/** @type {HTMLAnchorElement} */
const link = byId("claim-link");
const claimed = byId("claimed");

/**
 * @param {() => string | null} shown the id of the deployment that is shown
 * @param {(text: string) => void} say tells the reader what came of it
 */
export function offer(shown, say) {
  button.addEventListener("click", () => void claim(shown, say));
  byId("claim-copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(link.href);
      say("Copied the link.");
    } catch {
      say("The browser does not let this page copy. Select the link instead.");
    }
  });
}

/** Another deployment is shown: its link is another. */
export function forget() {
  claimed.hidden = true;
  link.removeAttribute("href");
}

/**
 * @param {() => string | null} shown
 * @param {(text: string) => void} say
 */
async function claim(shown, say) {
  const id = shown();
  if (id === null) return;
  button.disabled = true;
  try {
    const path = `/api/deploy/vercel/${encodeURIComponent(id)}/claim`;
    const { claimUrl, expiresAt } = await request("POST", path, returning());
    if (id === shown()) show(claimUrl, expiresAt);
  } catch (error) {
    if (id === shown()) say(error instanceof Error ? error.message : String(error));
  }
  button.disabled = false;
}

/** Where Vercel sends those back to whose code is not good: it takes secure addresses only. */
function returning() {
  return globalThis.isSecureContext ? { returnUrl: location.href.replace(/#.*/, "") } : {};
}

/**
 * @param {string} url
 * @param {number} expires in Unix ms
 */
function show(url, expires) {
  if (!url.startsWith("https://")) return;
  claimed.hidden = false;
  link.href = url;
  setText(link, url);
  setText(byId("claim-until"), clockTime(expires));
  link.focus();
}
