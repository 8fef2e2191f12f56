import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { CatchUp } from "../../../public/lastevent/catchup.js";
import { furthest, isBehind } from "../../../public/lastevent/position.js";
import { at } from "./wire.js";

const URL_ = "http://stream.test/api/streams?stream=a&stream=b";

async function settle() {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function pass(ms) {
  await settle();
  mock.timers.tick(ms);
  await settle();
}

/** A position in two streams; `moved` marks the one that stands first. */
function both(a, b, moved = "") {
  const parts = { a: `aaaaaaaa${at(a)}`, b: `bbbbbbbb${at(b)}` };
  if (!moved) return `${parts.a}.${parts.b}`;
  return `~${parts[moved]}.${parts[moved === "a" ? "b" : "a"]}`;
}

/** A reader whose fetches are answered by `pages`, one after the other, then by nothing new. */
function reader(pages = [], cursor = undefined) {
  const told = { events: [], resets: [], over: [] };
  const asked = [];
  const fetch = async (url) => {
    const after = new URL(url).searchParams.get("after");
    asked.push(after);
    const page = pages.shift() ?? { events: [], cursor: after };
    if (page instanceof Error) throw page;
    return Response.json({ start: after, closed: false, truncated: false, ...page });
  };
  const catchUp = new CatchUp(
    URL_,
    { fetch, ...(cursor && { cursor }) },
    {
      onEvent: ({ data }) => told.events.push(data),
      onReset: (reset) => told.resets.push(reset),
      onOver: (state, gaveUp) => told.over.push([state.name, gaveUp]),
    },
  );
  const step = (from, to, data, more = {}) =>
    catchUp.tell({ from, to, event: data ? { id: to, type: "note", data } : undefined, isLast: false, ...more });
  return { catchUp, told, asked, step };
}

const page = (...events) => ({
  events: events.map(([id, data]) => ({ id, type: "note", data })),
  cursor: events.at(-1)[0],
});

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1.7e12 });
  mock.method(Math, "random", () => 0.5);
});
afterEach(() => {
  mock.reset();
  mock.timers.reset();
});

test("of two positions the later place in each stream stays", () => {
  assert.equal(furthest(both(1, 5), both(3, 2)), both(3, 5));
  assert.equal(furthest(both(1, 5), both(3, 2, "a")), both(3, 5));
  assert.equal(furthest(at(1), at(2)), at(2));
  assert.equal(furthest(at(3), at(2)), at(3));
  assert.equal(furthest("17", "18"), "18");
  assert.equal(furthest("", at(2)), at(2));
});

test("a place that is not known makes a position neither behind nor ahead", () => {
  assert.equal(isBehind(both(1, 1), both(1, 1)), true);
  assert.equal(isBehind(both(1, 1), both(1, 2)), false);
  assert.equal(isBehind(`aaaaaaaa${at(1)}`, both(1, 1)), null);
  assert.equal(isBehind(null, at(1)), null);
});

test("who is ahead in one of two streams takes what is new in the other, and nothing twice", async () => {
  const { catchUp, told, step } = reader([page([both(1, 7, "b"), "b7"])], both(1, 6));
  step(both(1, 5), both(1, 5));
  await pass(0);
  assert.deepEqual(told.events, ["b7"]);
  step(both(1, 5), both(2, 5, "a"), "a2");
  step(both(2, 5, "a"), both(2, 6, "b"), "b6");
  step(both(2, 6, "b"), both(2, 7, "b"), "b7");
  step(both(2, 7, "b"), both(2, 8, "b"), "b8");
  await pass(0);
  assert.deepEqual(told.events, ["b7", "a2", "b8"]);
  assert.deepEqual(catchUp.cursor.split(".").sort(), both(2, 8).split("."));
  // The other had been moved past what the types leave out.
  step(both(2, 7), both(4, 8, "b"), "b8");
  assert.deepEqual(told.events, ["b7", "a2", "b8"]);
  assert.deepEqual(catchUp.cursor.split(".").sort(), both(4, 8).split("."));
});

test("a position from elsewhere is judged by the server, though it looks newer", async () => {
  const generation = "018a00000000";
  const start = at(0, generation);
  const event = [at(3, generation), "of the log that was restored"];
  const { catchUp, told, asked, step } = reader([{ ...page(event), start, truncated: true }], at(9));
  step(start, at(3, generation));
  await pass(0);
  assert.equal(asked[0], at(9));
  assert.deepEqual(told.resets, [{ from: at(9), to: start }]);
  assert.deepEqual(told.events, [event[1]]);
  assert.equal(catchUp.cursor, at(3, generation));
});

test("what the one before had read needs no fetch", async () => {
  const { catchUp, told, asked, step } = reader();
  catchUp.standAt(at(3));
  step(at(2), at(3), "3");
  step(at(3), at(4), "4");
  await pass(1000);
  assert.deepEqual(told.events, ["4"]);
  assert.deepEqual(asked, []);
});

test("a fetch in vain is made again after a while, each time a longer one", async () => {
  const { catchUp, asked, step } = reader();
  catchUp.standAt(at(1));
  step(at(5), at(6), "6");
  for (let second = 0; second < 120; second += 1) await pass(1000);
  assert.ok(asked.length >= 6 && asked.length <= 16, `${asked.length} fetches`);
});

test("of more than is held the rest is fetched", async () => {
  const numbers = Array.from({ length: 1500 }, (_, place) => place + 2);
  const events = numbers.map((n) => [at(n), String(n)]);
  const { catchUp, told, step } = reader([new TypeError("cut"), page(...events.slice(0, 600))], at(1));
  for (const n of numbers) step(at(n - 1), at(n), String(n));
  for (let second = 0; second < 3; second += 1) await pass(1000);
  assert.deepEqual(told.events, numbers.map(String));
  assert.equal(catchUp.cursor, at(1501));
});

test("a refusal ends it, and says whether trying again may help", async () => {
  const { told, step } = reader(Array(11).fill(new TypeError("cut")), at(1));
  step(at(1), at(2), "2");
  for (let second = 0; second < 200; second += 1) await pass(1000);
  assert.deepEqual(told.over, [["disconnected", true]]);
});

test("the end comes after what is held", async () => {
  const { told, step } = reader([page([at(2), "2"])], at(1));
  step(at(1), at(2), "2");
  step(at(2), at(3), "3");
  step(at(3), at(3), undefined, { isLast: true });
  assert.deepEqual(told.over, []);
  await pass(0);
  assert.deepEqual(told.events, ["2", "3"]);
  assert.deepEqual(told.over, [["ended", false]]);
});

test("stopping forgets what was told, and what was asked", async () => {
  const { catchUp, told, step } = reader([page([at(2), "2"])], at(1));
  step(at(1), at(2), "2");
  catchUp.stop();
  await pass(1000);
  assert.deepEqual(told.events, []);
  assert.equal(catchUp.cursor, at(1));
});
