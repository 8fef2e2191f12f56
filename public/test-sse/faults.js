/** The faults: asked for one after the other, and what the page made of each. */

import { latency } from "../metrics/numbers.js";
import { plural } from "../site/format.js";
import { heartbeat } from "./measures.js";
import { replay } from "./replay.js";
import { isExactly } from "./sequence.js";

/** @import { Trial, Fault } from "./trial.js" */
/** @import { Leg, Wire } from "./wire.js" */

/** @typedef {Fault | "replay"} Asked */

/**
 * What came of it; `time` is when it was asked for, in Unix ms.
 *
 * @typedef {{ asked: Asked, time: number, tone: "good" | "bad", text: string }} Outcome
 */

/** @type {Record<Asked, string>} */
export const NAMES = {
  end: "Planned end",
  cut: "Cut",
  stall: "Stall",
  busy: "503",
  gone: "204",
  replay: "Replay",
};
/** All that a stream comes back from by itself. @type {Asked[]} */
export const ALL = ["end", "cut", "busy", "stall", "replay"];

/** How the response that is asked may end. @type {Record<Fault, NonNullable<Leg["end"]>[]>} */
const OBEYED = {
  end: ["planned"],
  cut: ["cut"],
  stall: ["silent", "cut"],
  busy: ["planned"],
  gone: ["planned"],
};
const LOOK = 50;
/** How long the response that is open may take to obey, and the next to be there, in ms. */
const OBEY = 8000;
const BACK = 60_000;

/**
 * Ask for a fault, and see what comes of it.
 *
 * @param {Asked} asked
 * @param {Trial} trial
 * @param {Wire} wire
 * @returns {Promise<Outcome>}
 */
export async function ask(asked, trial, wire) {
  const time = Date.now();
  try {
    const text = await (asked === "replay" ? replayed(trial) : happened(asked, trial, wire));
    return { asked, time, tone: "good", text };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { asked, time, tone: "bad", text };
  }
}

/**
 * @param {Fault} fault
 * @param {Trial} trial
 * @param {Wire} wire
 */
async function happened(fault, trial, wire) {
  const leg = wire.leg;
  if (!leg || leg.end) throw new Error("There is no response that could obey. Try again.");
  const asked = performance.now();
  leg.isAsked = true; // before it may obey
  try {
    await trial.ask(fault);
  } catch (error) {
    leg.isAsked = leg.hasHeard;
    throw error;
  }
  const silence = fault === "stall" ? 4 * heartbeat(leg) : 0;
  await until(() => leg.ended !== null, OBEY + silence, trial, () =>
    leg.hasHeard
      ? "The response was asked, and did not end."
      : "The response that is open has not heard of it: something holds it back.",
  );
  const ended = leg.ended ?? asked;
  if (!leg.end || !OBEYED[fault].includes(leg.end)) {
    throw new Error("The response ended before it could obey. Try again.");
  }
  if (fault === "gone") {
    const isOver = () => wire.leg?.status === 204;
    await until(isOver, OBEY, trial, () => "No request was answered with 204.");
    return `Answered with 204, as a stream that is closed and read.${after(wire.leg, trial)}`;
  }
  const isBack = () => wire.leg !== leg && wire.leg?.live != null;
  await until(isBack, BACK, trial, () => "It did not come back.");
  const back = wire.leg;
  const away = (back?.live ?? ended) - ended;
  const between = wire.legs.slice(wire.legs.indexOf(leg) + 1, -1);
  return `${told(fault, leg, asked, between)} Back after ${latency(away)}.${after(back, trial)}`;
}

/**
 * @param {Fault} fault
 * @param {Leg} leg
 * @param {number} asked
 * @param {Leg[]} between
 */
function told(fault, leg, asked, between) {
  const took = latency((leg.ended ?? asked) - asked);
  const refusals = between.filter(({ end }) => end === "refused").map(({ status }) => status);
  if (fault === "busy") {
    return refusals.length
      ? `Refused ${refusals.length > 1 ? `${refusals.length} times` : "once"} with ${refusals[0]}.`
      : "It was not refused: another request was.";
  }
  if (fault === "stall" && leg.end === "silent") return `Silent, and given up after ${took}.`;
  if (leg.end === "planned") return "Ended as planned.";
  return leg.end === "cut" ? "Cut within an event." : `Ended (${leg.end}) after ${took}.`;
}

/** @param {Leg | null} leg @param {Trial} trial */
function after(leg, trial) {
  const number = trial.numberAt(leg?.cursor ?? null);
  return number ? ` The server was asked for what follows number ${number}.` : "";
}

/** Read all of it, and again from the middle. @param {Trial} trial */
async function replayed(trial) {
  const last = Math.max(0, ...trial.published.keys());
  const middle = Math.ceil(last / 2);
  const cursor = trial.published.get(middle)?.id;
  if (!cursor) throw new Error("Nothing is published yet.");
  const url = trial.address("replay");
  const [whole, rest] = await Promise.all([replay(`${url}&from=start`, null), replay(url, cursor)]);
  const after = `${plural(rest.length, "number")} after number ${middle}`;
  const found = `${plural(whole.length, "number")} from the start, ${after}`;
  if (isExactly(whole, 0, last) && isExactly(rest, middle, last)) {
    return `Exactly what there is: ${found}, all in order.`;
  }
  throw new Error(`Not what there is (${plural(last, "number")}): ${found}.`);
}

/**
 * @param {() => boolean} isSo
 * @param {number} limit
 * @param {Trial} trial
 * @param {() => string} otherwise
 */
function until(isSo, limit, trial, otherwise) {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      const isLate = performance.now() - began > limit;
      if (isSo()) resolve(undefined);
      else if (isLate) reject(new Error(otherwise()));
      else if (trial.over) reject(new Error("The test was over before it could be seen."));
      else return;
      clearInterval(timer);
    }, LOOK);
  });
}
