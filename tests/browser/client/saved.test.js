import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Stream } from "../../../public/lastevent.js";
import { saved } from "../../../public/lastevent/saved.js";
import { at, control, event, open } from "./wire.js";

const KEY = "lastevent.saved.feed";

let storage;
let streams;

const settle = () => new Promise((resolve) => setImmediate(resolve));

async function pass(ms) {
  await settle();
  mock.timers.tick(ms);
  await settle();
}

/** A visit of the page: the stream brings `messages`; what the page was told, and the leg. */
async function visit(messages, { limit, ...options } = {}) {
  const told = [];
  const legs = [];
  const wanted = {
    subject: "clara",
    transport: (leg) => {
      legs.push({ ...leg, before: [...told] });
      for (const message of messages) leg.onMessage(message);
      const done = { status: 200, detail: "", retryAfter: 0 };
      return new Promise((resolve) => leg.isOver() && resolve(done));
    },
    onEvent: (event) => told.push(event.json()),
    onReset: ({ to }) => told.push(`lost to ${to}`),
    ...options,
  };
  streams.push(new Stream("http://stream.test/s", saved("feed", wanted, limit)));
  await pass(200);
  return { told, leg: legs[0] };
}

const numbers = (first, last) => {
  const found = [];
  for (let n = first; n <= last; n += 1) found.push(event(n, String(n)));
  return found;
};

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  storage = new Map();
  streams = [];
  globalThis.sessionStorage = {
    getItem: (key) => storage.get(key) ?? null,
    setItem: (key, value) => storage.set(key, value),
  };
});
afterEach(() => {
  for (const stream of streams) stream.close();
  mock.reset();
  mock.timers.reset();
  delete globalThis.sessionStorage;
});

test("what came is given back first, and the stream goes on after it", async () => {
  await visit([open(0), ...numbers(1, 3)]);
  const { told, leg } = await visit([open(3), ...numbers(4, 4)]);
  assert.equal(leg.cursor, at(3));
  assert.deepEqual(leg.before, [1, 2, 3]);
  assert.deepEqual(told, [1, 2, 3, 4]);
  const again = await visit([open(4)]);
  assert.equal(again.leg.cursor, at(4));
  assert.deepEqual(again.told, [1, 2, 3, 4]);
});

test("a position without content is not kept: it goes on after the last event", async () => {
  await visit([open(0), ...numbers(1, 2), control("live", at(9))]);
  const { leg } = await visit([]);
  assert.equal(leg.cursor, at(2));
});

test("events and cursor are written in one piece, many of them at a time", async () => {
  let writes = 0;
  globalThis.sessionStorage.setItem = (key, value) => {
    writes += 1;
    const { cursor, entries } = JSON.parse(value);
    assert.equal(cursor, entries.at(-1).id);
    storage.set(key, value);
  };
  await visit([open(0), ...numbers(1, 50)]);
  assert.equal(writes, 1);
  assert.deepEqual([...storage.keys()], [KEY]);
});

test("a loss is given back where it was", async () => {
  await visit([
    open(0),
    ...numbers(1, 2),
    control("reset", at(8), { from: at(2), to: at(8) }),
    ...numbers(9, 9),
  ]);
  const { told, leg } = await visit([]);
  assert.deepEqual(told, [1, 2, `lost to ${at(8)}`, 9]);
  assert.equal(leg.cursor, at(9));
});

test("a loss at the end is gone on behind", async () => {
  await visit([open(0), ...numbers(1, 2), control("reset", at(8), { from: at(2), to: at(8) })]);
  assert.equal((await visit([])).leg.cursor, at(8));
});

test("where the page does not listen to losses, one still stops the stream", async () => {
  await visit([open(0), control("reset", at(8)), ...numbers(9, 9)], { onReset: undefined });
  assert.equal(streams[0].state.name, "disconnected");
});

test("of more than the limit the newest are kept", async () => {
  await visit([open(0), ...numbers(1, 30)], { limit: 10 });
  const { told, leg } = await visit([]);
  assert.deepEqual(told, [21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
  assert.equal(leg.cursor, at(30));
});

test("large events do not fill the browser", async () => {
  const large = (n) => event(n, JSON.stringify("x".repeat(400_000)));
  await visit([open(0), large(1), large(2), large(3), large(4)]);
  assert.ok(storage.get(KEY).length < 1_100_000);
  const { told, leg } = await visit([]);
  assert.equal(told.length, 2);
  assert.equal(leg.cursor, at(4));
});

const content = (changes) =>
  JSON.stringify({
    version: 1,
    subject: "clara",
    cursor: at(1),
    entries: [{ id: at(1), type: "note", data: "1" }],
    ...changes,
  });

test("what is whole is taken", async () => {
  storage.set(KEY, content({}));
  assert.equal((await visit([])).leg.cursor, at(1));
});

for (const [what, text] of [
  ["no JSON", "{"],
  ["another value", "7"],
  ["another version's", content({ version: 2 })],
  ["another reader's", content({ subject: "paul" })],
  ["without its events", content({ entries: [] })],
  ["with another cursor", content({ cursor: at(5) })],
  ["no list", content({ entries: { length: 1 } })],
  ["an event that is none", content({ entries: [{ id: at(1), type: "note" }] })],
  ["an event without a place", content({ cursor: "", entries: [{ id: "", type: "n", data: "1" }] })],
  ["a loss that is none", content({ entries: [{ reset: null }] })],
]) {
  test(`what is kept is dropped: ${what}`, async () => {
    storage.set(KEY, text);
    const { told, leg } = await visit([]);
    assert.deepEqual(told, []);
    assert.equal(leg.cursor, null);
  });
}

test("a browser that refuses to keep anything costs nothing else", async () => {
  for (const name of ["getItem", "setItem"]) {
    globalThis.sessionStorage[name] = () => {
      throw new DOMException("denied", "SecurityError");
    };
  }
  const { told, leg } = await visit([open(0), ...numbers(1, 2)]);
  assert.deepEqual(told, [1, 2]);
  assert.equal(leg.cursor, null);
});

test("a full browser keeps what it had, which is whole", async () => {
  await visit([open(0), ...numbers(1, 2)]);
  globalThis.sessionStorage.setItem = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  await visit([open(2), ...numbers(3, 4)]);
  const { told, leg } = await visit([]);
  assert.deepEqual(told, [1, 2]);
  assert.equal(leg.cursor, at(2));
});
