/** Requests of the pages to their own server. */

const LIMIT = 15_000;

/** What the server refused, in its own words. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/**
 * Send a request; return the JSON that is answered, null for an empty answer. Throws Refused, or
 * an Error that says that the server cannot be reached.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body] sent as JSON; a Blob as it is, under its own type
 * @param {Record<string, string>} [headers]
 * @param {number} [limit] ms until the server counts as out of reach
 * @returns {Promise<any>}
 */
export async function request(method, path, body, headers = {}, limit = LIMIT) {
  /** @type {RequestInit} */
  const init = { method, signal: AbortSignal.timeout(limit), cache: "no-store", headers };
  if (body instanceof Blob) init.body = body;
  else if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json", ...headers };
  }
  let response, text;
  try {
    response = await fetch(path, init);
    text = await response.text();
  } catch {
    throw new Error("The server cannot be reached.");
  }
  if (response.ok) return text ? JSON.parse(text) : null;
  throw new Refused(response.status, detail(text) ?? `The server answered ${response.status}.`);
}

/** @param {string} text a problem document (RFC 9457), or anything else */
function detail(text) {
  try {
    const { detail, title } = JSON.parse(text);
    return sentence(String(detail ?? title));
  } catch {
    return null;
  }
}

/** @param {string} text */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}
