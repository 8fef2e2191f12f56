/** What a browser says of the page and of the network, for a stream that is to come back at once. */

/**
 * What a stream does about it.
 *
 * @typedef {object} Returning
 * @property {() => void} onBack the page is seen again, or the network is back
 * @property {() => void} onLeave the page is left, perhaps for good: connections end
 * @property {() => void} onReturn the page that was left is shown again, as it was
 */

/**
 * Have a stream told, until the returned function is called. Where there is no page, nothing is.
 *
 * @param {Returning} returning
 * @returns {() => void}
 */
export function watchPage({ onBack, onLeave, onReturn }) {
  const { document, addEventListener } = globalThis;
  if (!document || !addEventListener) return () => {};
  const stop = new AbortController();
  const { signal } = stop;
  const seen = () => document.visibilityState === "visible" && onBack();
  document.addEventListener("visibilitychange", seen, { signal });
  document.addEventListener("resume", onBack, { signal });
  addEventListener("online", onBack, { signal });
  addEventListener("pagehide", onLeave, { signal });
  addEventListener("pageshow", onReturn, { signal });
  return () => stop.abort();
}
