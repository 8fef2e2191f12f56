/**
 * Who reads a page, and that it is not left to somebody else: another tab, or the site that the page
 * is part of, may sign the browser in as another. What is shown is not theirs to see, and what is
 * asked for from then on would be in their name.
 */

import { Refused, request } from "./api.js";

/** Has another value after each change of the sign-in: that is how other tabs hear of one. */
const KEY = "lastevent.session";
/** Switching to a tab is told in two ways, which are one doubt; in ms. */
const TOGETHER = 50;

/**
 * The page's reader: `""` where the server knows nobody, undefined where it cannot be asked.
 *
 * @type {Promise<string | undefined> | undefined}
 */
let reader;

/** Who reads, as the server knew them when the page was opened; null where it knew nobody. */
export async function subject() {
  return (await (reader ??= ask())) || null;
}

/** Have the page begin anew once somebody else is signed in. */
export function keepToReader() {
  void subject();
  onDoubt(async () => {
    const [before, now] = await Promise.all([reader, ask()]);
    if (now !== undefined && now !== before) location.reload();
  });
}

/**
 * Call back whenever somebody else may be signed in: another tab says so, or the page is come back
 * to, perhaps from where nobody could tell it.
 *
 * @param {() => void} callback
 */
export function onDoubt(callback) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const doubt = () => {
    clearTimeout(timer);
    timer = setTimeout(callback, TOGETHER);
  };
  addEventListener("storage", ({ key }) => key === KEY && doubt());
  addEventListener("focus", doubt);
  addEventListener("pageshow", ({ persisted }) => persisted && doubt());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") doubt();
  });
}

/** Tell the other tabs that the sign-in has changed. */
export function announce() {
  try {
    localStorage.setItem(KEY, `${Date.now()} ${Math.random()}`);
  } catch {
    // Refused: they ask when they are looked at.
  }
}

async function ask() {
  try {
    const { sub } = await request("GET", "/api/session");
    return typeof sub === "string" ? sub : "";
  } catch (error) {
    return error instanceof Refused && error.status === 401 ? "" : undefined;
  }
}
