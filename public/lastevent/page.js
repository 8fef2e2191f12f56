/** What a browser says of page and network, for a stream that is to come back at once. */

/**
 * Have a stream told, until the returned function is called. Where there is no page, nothing is.
 *
 * @param {() => void} onBack the page is seen again, goes on as it was, or has its network back
 * @param {() => void} onLeave the page is left, perhaps for good, or is to stand still: connections
 *   end
 * @param {() => void} [onOffline] the network went: connections may be dead, and do not say so
 * @returns {() => void}
 */
export function watchPage(onBack, onLeave, onOffline = () => {}) {
  const { document, addEventListener } = globalThis;
  if (!document || !addEventListener) return () => {};
  const stop = new AbortController();
  const { signal } = stop;
  const onSeen = () => document.visibilityState === "visible" && onBack();
  document.addEventListener("visibilitychange", onSeen, { signal });
  document.addEventListener("freeze", onLeave, { signal });
  document.addEventListener("resume", onBack, { signal });
  addEventListener("offline", onOffline, { signal });
  addEventListener("online", onBack, { signal });
  addEventListener("pagehide", onLeave, { signal });
  addEventListener("pageshow", onBack, { signal });
  return () => stop.abort();
}
