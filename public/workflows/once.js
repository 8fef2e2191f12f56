/** What one tab does for all of them, however many are open and whenever each of them hears of it. */

const KEY = "lastevent.done";
const MOST = 100;
/** How long what one tab has noted may take to be seen by the others, in ms. */
const SPREADING = 1000;

/**
 * Do something unless a tab of this browser has done it, or does it just now.
 *
 * @param {string} name of what is done; the newest hundred are known
 * @param {() => void} act
 */
export async function once(name, act) {
  if (!navigator.locks) return act();
  await navigator.locks.request(`lastevent once ${name}`, { ifAvailable: true }, async (lock) => {
    if (!lock || done().includes(name)) return;
    note(name);
    act();
    await new Promise((resolve) => setTimeout(resolve, SPREADING));
  });
}

/** @returns {string[]} */
function done() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return []; // refused by the browser, or not ours
  }
}

/** @param {string} name */
function note(name) {
  try {
    localStorage.setItem(KEY, JSON.stringify([name, ...done()].slice(0, MOST)));
  } catch {
    // Refused: then tabs that hear of it much later do it too.
  }
}
