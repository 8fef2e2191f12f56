import assert from "node:assert/strict";
import test from "node:test";

import {
  beats,
  buffering,
  clockAhead,
  firstBytes,
  lengths,
  quantile,
} from "../../../public/test-sse/measures.js";
import { isExactly, numberIn, Sequence } from "../../../public/test-sse/sequence.js";

/** @typedef {import("../../../public/test-sse/wire.js").Leg} Leg */
/** @typedef {import("../../../public/test-sse/wire.js").Sign} Sign */

/** @param {Partial<Leg>} known @returns {Leg} */
function leg(known) {
  const none = { cursor: null, answered: null, first: null, opened: null, live: null, ended: null };
  const fault = { isAsked: false, hasHeard: false };
  const fields = { heartbeat: 1, ends_in: 5 };
  const rest = { number: 1, requested: 0, end: null, status: 200, detail: "", bytes: 0, signs: [] };
  return { ...none, ...fault, ...rest, fields, ...known };
}

/**
 * Beats that were sent a second apart, and came at these times.
 *
 * @param {number[]} times
 * @returns {Sign[]}
 */
function beaten(times) {
  const clock = 5_000_000;
  const sent = (/** @type {number} */ place) => clock + 1000 * place;
  return times.map((at, place) => ({ kind: "beat", at, wall: clock + at, origin: sent(place) }));
}

/** @param {number[]} numbers */
function taken(numbers) {
  const sequence = new Sequence();
  numbers.forEach((number) => sequence.take(number));
  const { received, missing, doubled, outOfOrder } = sequence;
  return { received, missing, doubled, outOfOrder };
}

const none = () => 0;
const many = () => 9;

test("what is missing, comes twice or too late is counted", () => {
  assert.deepEqual(taken([1, 2, 3]), { received: 3, missing: 0, doubled: 0, outOfOrder: 0 });
  assert.deepEqual(taken([1, 2, 4]), { received: 3, missing: 1, doubled: 0, outOfOrder: 0 });
  assert.deepEqual(taken([2]), { received: 1, missing: 1, doubled: 0, outOfOrder: 0 });
  assert.deepEqual(taken([1, 2, 2, 1]), { received: 2, missing: 0, doubled: 2, outOfOrder: 0 });
  assert.deepEqual(taken([1, 3, 2]), { received: 3, missing: 0, doubled: 0, outOfOrder: 1 });
});

test("a replay brings exactly the rest", () => {
  assert.ok(isExactly([1, 2, 3], 0, 3));
  assert.ok(isExactly([3, 4, 5], 2, 4), "one more was published meanwhile");
  assert.ok(isExactly([], 3, 3));
  for (const wrong of [[1, 2], [2, 3], [1, 3], [1, 1, 2, 3], [0, 1, 2, 3]]) {
    assert.ok(!isExactly(wrong, 0, 3), String(wrong));
  }
});

test("only a number of a trial is one", () => {
  assert.equal(numberIn('{"n":7}'), 7);
  for (const other of ['{"n":0}', '{"n":"7"}', '{"n":1.5}', "7", "null", "{", ""]) {
    assert.equal(numberIn(other), null);
  }
});

test("quantiles are values that there were", () => {
  assert.equal(quantile([], 0.5), null);
  assert.equal(quantile([3, 1, 2], 0.5), 2);
  assert.equal(quantile([1, 2, 3, 4], 0.95), 4);
  assert.equal(quantile([5], 0), 5);
});

test("jitter is how far from as they were sent beats came", () => {
  const found = beats([leg({ opened: 0, signs: beaten([1000, 2010, 3000]), ended: 3500 })], 9000);
  assert.deepEqual(found, { count: 3, missed: 0, p50: 10, p95: 10 });
});

test("beats that did not come are missed, but where silence was asked for", () => {
  const hole = leg({ opened: 0, signs: beaten([1000, 4000]), ended: 4500 });
  assert.equal(beats([hole], 9000).missed, 2);
  const silent = leg({ opened: 0, signs: beaten([1000]) });
  assert.equal(beats([silent], 2100).missed, 0);
  assert.equal(beats([silent], 3500).missed, 2);
  assert.equal(beats([{ ...silent, isAsked: true }], 3500).missed, 0);
  assert.equal(beats([leg({})], 60_000).missed, 0, "what has not opened owes none");
});

test("what comes apart as it was sent passes at once", () => {
  const well = [leg({ opened: 0, first: 5, signs: beaten([1000, 2050, 2980, 4100]) })];
  assert.deepEqual(
    [buffering(well, 5000, none).word, buffering(well, 5000, none).held],
    ["At once", 0],
  );
});

test("what was sent apart and comes together was held back", () => {
  const held = [leg({ opened: 5000, first: 5000, signs: beaten([5000, 5000, 5001, 5001]) })];
  assert.equal(buffering(held, 5100, none).word, "Held back");
  const some = [leg({ opened: 0, first: 5, signs: beaten([1000, 2000, 3000, 3001, 5000]) })];
  assert.equal(buffering(some, 5100, none).word, "In bursts");
});

test("beats are not compared with numbers, nor with those of another response", () => {
  const signs = beaten([1000, 2000]);
  const number = /** @type {Sign} */ ({ kind: "number", at: 2001, wall: 0, origin: 500 });
  const other = leg({ opened: 2001, signs: beaten([2002]) });
  const mixed = [leg({ opened: 0, signs: [...signs, number] }), other];
  assert.equal(buffering(mixed, 3000, none).compared, 1);
});

test("a response without a byte is held back if there was something to bring", () => {
  const waiting = [leg({ requested: 0, status: 0 })];
  assert.equal(buffering(waiting, 2000, many).word, "Not known yet");
  assert.equal(buffering(waiting, 4000, none).word, "Not known yet");
  assert.equal(buffering(waiting, 4000, many).word, "Held back");
  assert.match(buffering(waiting, 4000, many).text, /4\.0 s/);
  assert.equal(buffering([leg({ status: 503, ended: 4000 })], 9000, many).word, "Not known yet");
});

test("a function that starts cold is no proxy that buffers", () => {
  const cold = leg({ first: 4000, opened: 4000, signs: beaten([5000, 6000, 7000, 8000]) });
  assert.equal(buffering([cold], 8100, many).word, "At once");
});

test("a platform of whole answers says so itself", () => {
  const whole = [leg({ opened: 1, fields: { buffered: true } })];
  assert.equal(buffering(whole, 9000, many).word, "Whole answers");
});

test("responses end within what they said", () => {
  const planned = leg({ opened: 100, ended: 5000, end: "planned" });
  const { word, longest, said } = lengths([planned]);
  assert.deepEqual([word, longest, said], ["As planned", 4900, 5000]);
  assert.equal(lengths([leg({ opened: 100, ended: 8000, end: "planned" })]).word, "Late");
  assert.equal(lengths([planned, leg({ opened: 1, ended: 2, end: "cut" })]).word, "Cut");
  const asked = leg({ opened: 1, ended: 2, end: "cut", isAsked: true });
  assert.equal(lengths([planned, asked]).word, "As planned");
  assert.equal(lengths([asked]).word, "Not known yet");
});

test("the quickest beat tells how far the clocks are apart", () => {
  assert.equal(clockAhead([leg({})]), null);
  assert.equal(clockAhead([leg({ signs: beaten([30, 1012, 2040]) })]), 12);
});

test("first bytes are those that came", () => {
  assert.deepEqual(firstBytes([leg({ requested: 10, first: 15 }), leg({ requested: 20 })]), [5]);
});
