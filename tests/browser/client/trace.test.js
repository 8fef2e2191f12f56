import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { StreamEvent } from "../../../public/lastevent/follower.js";
import { traced } from "../../../public/lastevent/trace.js";

let said = [];

beforeEach(() => {
  said = [];
  mock.method(console, "info", (text) => said.push(text));
});
afterEach(() => mock.reset());

test("each thing is said in a line, and told to the page as it was", () => {
  const told = [];
  const on = (name) => (value) => told.push([name, value]);
  const names = ["onOpen", "onEvent", "onBeat", "onState", "onReset"];
  const options = traced("s", Object.fromEntries(names.map((name) => [name, on(name)])));
  const event = new StreamEvent("7", "note", '"secret"');
  const given = [
    ["onOpen", { trimmed: false, fields: { policy: "latency" } }],
    ["onEvent", event],
    ["onEvent", new StreamEvent("", "note", "")],
    ["onBeat", 0],
    ["onBeat", null],
    ["onReset", { from: null, to: "9" }],
    ["onReset", { from: "7", to: "9" }],
  ];
  for (const [name, value] of given) options[name](value);
  assert.deepEqual(told, given);
  assert.equal(told[1][1], event);
  assert.deepEqual(said, [
    'lastevent s: a response opens {"policy":"latency"}',
    "lastevent s: event note 7, 8 characters",
    "lastevent s: event note without an id, 0 characters",
    "lastevent s: heartbeat of 1970-01-01T00:00:00.000Z",
    "lastevent s: heartbeat",
    "lastevent s: events are lost after the beginning, up to 9",
    "lastevent s: events are lost after 7, up to 9",
  ]);
});

for (const [state, words] of [
  [{ name: "connecting" }, "connecting"],
  [{ name: "connected" }, "connected"],
  [
    { name: "reconnecting", attempt: 2, of: 10, seconds: 1.25, reason: "it was cut" },
    "reconnecting, attempt 2 of 10, the next try in 1.3 s: it was cut",
  ],
  [{ name: "polling", seconds: 30, reason: "" }, "polling, the next try in 30.0 s"],
  [{ name: "disconnected", reason: "closed" }, "disconnected: closed"],
  [{ name: "denied", reason: "not yours" }, "denied: not yours"],
  [{ name: "ended" }, "ended"],
]) {
  test(`a state: ${words}`, () => {
    traced("s", {}).onState(state);
    assert.deepEqual(said, [`lastevent s: ${words}`]);
  });
}

test("it is silent while nobody wants it, and stays out of what is not listened to", () => {
  let isWanted = false;
  const options = traced("s", { start: "now" }, () => isWanted);
  options.onState({ name: "connected" });
  assert.deepEqual(said, []);
  isWanted = true;
  options.onState({ name: "ended" });
  assert.deepEqual(said, ["lastevent s: ended"]);
  assert.equal(options.onReset, undefined, "a loss still stops the stream");
  assert.equal(options.start, "now");
});
