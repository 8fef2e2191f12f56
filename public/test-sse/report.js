/** What a trial has found, as plain text for whoever is asked for help. It holds no secret. */

import { plural } from "../site/format.js";
import { NAMES } from "./faults.js";
import { findings, line, readers } from "./findings.js";

/** @import { Facts } from "./findings.js" */
/** @import { Outcome } from "./faults.js" */

const MOST_LEGS = 50;

/**
 * @typedef {object} Place
 * @property {string} browser
 * @property {string} origin
 * @property {string} server its version and its store
 * @property {number} began in Unix ms
 * @property {number} ended in Unix ms
 */

/**
 * @param {Facts} facts
 * @param {Outcome[]} outcomes
 * @param {Place} place
 */
export function report(facts, outcomes, { browser, origin, server, began, ended }) {
  const { wire, trial, native, now } = facts;
  const table = readers(facts).map(([name, one, other]) => `  ${name}: ${one} | ${other}`);
  const legs = wire.legs.slice(-MOST_LEGS).map((leg) => `  ${line(leg, trial, now)}`);
  return [
    "Lastevent connection test",
    `Site: ${origin}`,
    `Server: ${server}`,
    `Browser: ${browser}`,
    `From ${new Date(began).toISOString()} to ${new Date(ended).toISOString()}`,
    `Published: ${plural(trial.published.size, "number")}`,
    "",
    ...findings(facts).flatMap(({ name, value, word, text }) => [
      `${name}: ${value}${word && ` (${word})`}`,
      `  ${text}`,
    ]),
    "",
    `Readers: this page | EventSource (${native.state})`,
    ...table,
    "",
    "Faults:",
    ...(outcomes.length ? outcomes.map(told) : ["  none was asked for"]),
    "",
    `Responses (${wire.count}):`,
    ...legs,
    "",
  ].join("\n");
}

/** @param {Outcome} outcome */
function told({ asked, time, text }) {
  return `  ${new Date(time).toISOString().slice(11, 19)} ${NAMES[asked]}: ${text}`;
}
