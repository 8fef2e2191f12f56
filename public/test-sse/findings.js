/** What a trial has found, as cards, as a table of the readers, and as lines of its responses. */

import { latency, NONE } from "../metrics/numbers.js";
import { plural } from "../site/format.js";
import { beats, buffering, clockAhead, firstBytes, lengths, quantile } from "./measures.js";

/** @import { Verdict } from "./measures.js" */
/** @import { Native } from "./native.js" */
/** @import { Sequence } from "./sequence.js" */
/** @import { Trial } from "./trial.js" */
/** @import { Leg, Wire } from "./wire.js" */

/**
 * All that is known. `came` are the numbers that the page was given, `wire.numbers` those that came
 * over the wire; the client may drop what comes twice, and must not hide that it came.
 *
 * @typedef {object} Facts
 * @property {number} now by performance.now()
 * @property {Trial} trial
 * @property {Wire} wire
 * @property {Sequence} raw numbers as they came over the wire
 * @property {Sequence} came numbers that the page was given
 * @property {number} polls
 * @property {number} resets
 * @property {number[]} latencies
 * @property {Native} native
 * @property {string} protocol
 */

/** @typedef {Verdict & { name: string, value: string }} Finding */

/** @type {Record<NonNullable<Leg["end"]>, string>} */
const ENDS = {
  planned: "ended as planned",
  closed: "ended: the stream is closed",
  denied: "ended: access is over",
  trouble: "ended: the server has trouble",
  cut: "was cut",
  silent: "was silent, and given up",
  refused: "was refused",
  left: "was left by this page",
};
/** The protocols that a browser names (RFC 7301). @type {Record<string, string>} */
const PROTOCOLS = { "http/1.1": "HTTP/1.1", h2: "HTTP/2", h3: "HTTP/3", "http/1.0": "HTTP/1.0" };
const FEW = "Browsers open six of these to a host: more streams than that wait for each other.";

/** @param {Facts} facts @returns {Finding[]} */
export function findings(facts) {
  return [proof, held, first, beating, delivery, length, clock, connection].map((of) => of(facts));
}

/**
 * A finding that is a number, and no verdict.
 *
 * @param {string} name
 * @param {string} value
 * @param {string} text
 * @returns {Finding}
 */
function plain(name, value, text) {
  return { name, value, text, word: "", tone: "" };
}

/** @param {Facts} facts @returns {Finding} */
function proof({ came, raw, wire, polls, resets }) {
  const doubled = raw.doubled + came.doubled;
  const order = raw.outOfOrder + came.outOfOrder;
  const cuts = wire.legs.filter(({ end }) => isUnplanned(end)).length;
  const isWhole = !came.missing && !doubled && !order && !resets;
  const told = [
    `${plural(came.received, "number")} over ${plural(wire.count, "response")}`,
    plural(cuts, "cut"),
    polls && plural(polls, "poll"),
    `out of order ${order}`,
    resets && `history was lost ${plural(resets, "time")}`,
  ];
  return {
    name: "Proof of resume",
    value: `missing ${came.missing}, doubled ${doubled}`,
    word: !came.received ? "Not known yet" : isWhole ? "Whole" : "Broken",
    tone: !came.received ? "" : isWhole ? "good" : "bad",
    text: `${told.filter(Boolean).join(", ")}.`,
  };
}

/** @param {Facts} facts @returns {Finding} */
function held({ wire, trial, now }) {
  const published = (/** @type {number} */ since, /** @type {number} */ until) =>
    trial.between(since, until);
  const { held, compared, ...verdict } = buffering(wire.legs, now, published);
  const value = compared ? `${held} of ${compared} held` : NONE;
  return { ...verdict, name: "Buffering", value };
}

/** @param {Facts} facts @returns {Finding} */
function first({ wire }) {
  const all = firstBytes(wire.legs);
  const longest = latency(quantile(all, 1));
  const told = `p50 of ${plural(all.length, "response")}, the longest ${longest}.`;
  const { answered = null, requested = 0 } = wire.leg ?? {};
  const headers =
    answered === null ? "" : ` Headers of the last came after ${latency(answered - requested)}.`;
  const value = latency(quantile(all, 0.5));
  return plain("First byte", value, all.length ? told + headers : "None has come yet.");
}

/** @param {Facts} facts @returns {Finding} */
function beating({ wire, now }) {
  const { count, missed, p50, p95 } = beats(wire.legs, now);
  const isWell = p50 !== null && !missed;
  const jitter = `Jitter p50 ${latency(p50)}, p95 ${latency(p95)}: how far from as they were sent.`;
  return {
    name: "Heartbeats",
    value: p50 === null ? NONE : `± ${latency(p50)}`,
    word: missed ? `${missed} missed` : isWell ? "Regular" : "Not known yet",
    tone: missed ? "warn" : isWell ? "good" : "",
    text: `${plural(count, "beat")}, ${missed} missed. ${jitter}`,
  };
}

/** @param {Facts} facts @returns {Finding} */
function delivery({ latencies, trial }) {
  const trips = [...trial.published.values()].map((it) => it.acknowledged - it.sent);
  const [p50, p95] = [quantile(latencies, 0.5), quantile(latencies, 0.95)].map(latency);
  const told = `From this page and back to it, cuts included: p50 ${p50}, p95 ${p95}.`;
  const trip = `A request and its answer: p50 ${latency(quantile(trips, 0.5))}.`;
  return plain("Delivery", p50 ?? NONE, `${told} ${trip}`);
}

/** @param {Facts} facts @returns {Finding} */
function length({ wire }) {
  const { longest, said, text, ...verdict } = lengths(wire.legs);
  const most = said === null ? "" : `The last said: ${latency(said)} at most. `;
  return { ...verdict, name: "Response length", value: latency(longest), text: most + text };
}

/** @param {Facts} facts @returns {Finding} */
function clock({ wire }) {
  const ahead = clockAhead(wire.legs);
  if (ahead === null) return plain("Clocks", NONE, "The first heartbeat will tell.");
  const side = ahead < 0 ? "behind" : "ahead of";
  const text = `This page is ${side} the server by that, with the time that a beat takes in it. `;
  return plain("Clocks", latency(Math.abs(ahead)), `${text}Nothing depends on it.`);
}

/** @param {Facts} facts @returns {Finding} */
function connection({ protocol, wire }) {
  const fields = wire.legs.findLast(({ opened }) => opened !== null)?.fields ?? {};
  const told = [
    fields["policy"] && `policy ${fields["policy"]}`,
    fields["heartbeat"] && `a beat each ${fields["heartbeat"]} s`,
    "ends_in" in fields && `at most ${fields["ends_in"]} s`,
    fields["buffered"] && "whole answers",
  ].filter(Boolean);
  const said = told.length ? `The server says: ${told.join(", ")}.` : "";
  const few = protocol === "http/1.1" ? FEW : "";
  const value = PROTOCOLS[protocol] ?? (protocol || NONE);
  return plain("Connection", value, [said, few].filter(Boolean).join(" "));
}

/** The rows of a table that compares the readers. @param {Facts} facts @returns {string[][]} */
export function readers({ came, raw, wire, latencies, native }) {
  /** @param {(leg: Leg) => boolean} isWanted */
  const count = (isWanted) => String(wire.legs.filter(isWanted).length);
  const other = native.sequence;
  return [
    ["Numbers", String(came.received), String(other.received)],
    ["Missing", String(came.missing), String(other.missing)],
    ["Doubled", String(raw.doubled + came.doubled), String(other.doubled)],
    ["Out of order", String(raw.outOfOrder + came.outOfOrder), String(other.outOfOrder)],
    ["Responses", count(({ opened }) => opened !== null), String(native.counts.legs)],
    ["Planned ends", count(({ end }) => end === "planned"), String(native.counts.planned)],
    ["Other ends", count(({ end }) => isUnplanned(end)), String(native.counts.cuts)],
    ["Refused", count(({ end }) => end === "refused"), String(native.counts.refused)],
    ["Delivery p50", latency(quantile(latencies, 0.5)), latency(quantile(native.latencies, 0.5))],
    ["Delivery p95", latency(quantile(latencies, 0.95)), latency(quantile(native.latencies, 0.95))],
  ];
}

/** @param {Leg["end"]} end */
function isUnplanned(end) {
  return end === "cut" || end === "silent" || end === "trouble";
}

/**
 * One response in words.
 *
 * @param {Leg} leg
 * @param {Trial} trial
 * @param {number} now
 */
export function line(leg, trial, now) {
  const { number, requested, first, opened, ended, end, status, fields, cursor, signs } = leg;
  const parts = [];
  const from = trial.numberAt(cursor);
  parts.push(from ? `after number ${from}` : "from the start");
  if (end === "refused") parts.push(`answered with ${status}`);
  else if (first === null) parts.push(`no byte in ${latency((ended ?? now) - requested)}`);
  else parts.push(`first byte ${latency(first - requested)}`);
  if (opened !== null) {
    const said = typeof fields["ends_in"] === "number" ? ` of at most ${fields["ends_in"]} s` : "";
    parts.push(`${(((ended ?? now) - opened) / 1000).toFixed(1)} s${said}`);
    parts.push(plural(signs.filter(({ kind }) => kind === "beat").length, "beat"));
  }
  if (end && end !== "refused") parts.push(ENDS[end]);
  return `Response ${number}: ${parts.join(", ")}${end ? "." : " …"}`;
}
