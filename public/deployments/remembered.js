/** The deployments that were published or followed in this browser. */

import { Remembered } from "../site/remembered.js";

/** @import { State } from "./log.js" */

/**
 * `at`: when it was heard of first, in Unix ms.
 *
 * @typedef {{ id: string, name: string, state: State | null, at: number }} Known
 */

/** @type {Remembered<Known>} */
export const remembered = new Remembered(
  "lastevent.deployments",
  (it) =>
    typeof it?.id === "string" &&
    typeof it.name === "string" &&
    typeof it.at === "number" &&
    (it.state === null || typeof it.state === "string"),
);

/**
 * Know this of a deployment from now on; the rest of what is known stays.
 *
 * @param {{ id: string, name?: string, state?: State | null }} deployment
 */
export function know({ id, name, state }) {
  const before = remembered.find(id) ?? { id, name: id, state: null, at: Date.now() };
  remembered.remember({ ...before, name: name ?? before.name, state: state ?? before.state });
}
