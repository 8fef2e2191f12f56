import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Beacons } from "../../../public/lastevent/beacons.js";

const NONE = { legs: 0, plannedEnds: 0, cuts: 0, polls: 0 };
const { Blob } = globalThis;
/** By how much the page's clock is ahead of the server's. */
const AHEAD = 5000;

let sent = [];
let accepts = true;

/** A page that measures a stream; `state` and `counts` are what the test says. */
function listen(stream = {}) {
  const beacons = new Beacons("/beacon", "here", (event) => event.time);
  const told = [];
  const options = beacons.measure({ onEvent: (event) => told.push(event) });
  const watched = { state: { name: "connected" }, counts: { ...NONE }, ...stream };
  beacons.watch(watched);
  const connect = () => options.onState(watched.state);
  const event = (late) => options.onEvent({ time: Date.now() - AHEAD - late });
  const beat = (late) => options.onBeat(Date.now() - AHEAD - late);
  return { beacons, options, stream: watched, told, connect, event, beat };
}

const pass = (ms) => mock.timers.tick(ms);
const latencies = () => sent.flatMap(({ beacon }) => beacon.latencies);

beforeEach(() => {
  sent = [];
  accepts = true;
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1.7e12 });
  globalThis.Blob = class {
    constructor(parts, { type }) {
      assert.equal(type, "application/json");
      this.text = parts.join("");
    }
  };
  const sendBeacon = (url, body) => {
    if (accepts) sent.push({ url, beacon: JSON.parse(body.text) });
    return accepts;
  };
  Object.defineProperty(globalThis, "navigator", { value: { sendBeacon }, configurable: true });
});
afterEach(() => {
  mock.reset();
  mock.timers.reset();
  delete globalThis.navigator;
  globalThis.Blob = Blob;
});

test("latencies are what came on top of the smallest difference of the clocks", () => {
  const page = listen();
  page.connect();
  pass(1000);
  page.event(40);
  page.event(70);
  page.beat(10);
  pass(30_000);
  assert.deepEqual(sent, [
    {
      url: "/beacon",
      beacon: { page: "here", transport: "stream", latencies: [30, 60], counts: NONE },
    },
  ]);
  assert.equal(page.told.length, 2);
});

test("what was sent before the page listened is history, and no delay", () => {
  const page = listen();
  page.beat(0);
  page.event(10);
  page.connect();
  page.event(3_600_000);
  page.event(2000);
  pass(1000);
  page.event(500);
  pass(30_000);
  assert.deepEqual(latencies(), [500]);
});

test("what slept is no delay either", () => {
  const page = listen();
  page.connect();
  page.beat(0);
  pass(3_600_000);
  page.beat(0);
  page.event(400_000);
  page.event(200_000);
  pass(30_000);
  assert.deepEqual(latencies(), [200_000]);
});

test("an event without a time is not measured, and a defect of the page costs nothing", () => {
  const beacons = new Beacons("/beacon", "here", (event) => event.json().time);
  const options = beacons.measure({});
  options.onState({ name: "connected" });
  options.onEvent({ json: () => ({}) });
  options.onEvent({
    json: () => {
      throw new SyntaxError("no JSON");
    },
  });
  pass(100_000);
  assert.deepEqual(sent, []);
});

test("counts are those since the last beacon, and at most one is sent in 30 s", () => {
  const page = listen({ counts: { legs: 5, plannedEnds: 4, cuts: 0, polls: 0 } });
  page.connect();
  page.stream.counts = { legs: 6, plannedEnds: 5, cuts: 0, polls: 0 };
  page.options.onOpen({});
  pass(29_999);
  assert.equal(sent.length, 0);
  pass(1);
  assert.deepEqual(sent[0].beacon.counts, { legs: 1, plannedEnds: 1, cuts: 0, polls: 0 });
  for (let second = 0; second < 60; second += 1) {
    page.event(0);
    pass(1000);
  }
  assert.equal(sent.length, 3);
  page.stream.counts = { legs: 7, plannedEnds: 5, cuts: 1, polls: 0 };
  page.options.onOpen({});
  pass(30_000);
  const total = sent.reduce((sum, { beacon }) => sum + beacon.counts.cuts, 0);
  assert.equal(total, 1);
});

test("nothing is sent where nothing happened", () => {
  const page = listen();
  page.connect();
  for (let beats = 0; beats < 20; beats += 1) {
    pass(15_000);
    page.beat(0);
  }
  assert.deepEqual(sent, []);
});

test("polls have a beacon of their own", () => {
  const page = listen();
  page.connect();
  pass(1000);
  page.event(0);
  page.stream.state = { name: "polling", seconds: 30, reason: "" };
  page.stream.counts = { ...NONE, legs: 1, polls: 1 };
  page.options.onState(page.stream.state);
  pass(20_000);
  page.event(12_000);
  pass(30_000);
  assert.deepEqual(
    sent.map(({ beacon }) => [beacon.transport, beacon.latencies, beacon.counts.polls]),
    [
      ["stream", [0], 0],
      ["polling", [12_000], 1],
    ],
  );
});

test("of many events some stand for all, early ones and late ones", () => {
  const page = listen();
  page.connect();
  pass(10_000);
  page.beat(0);
  for (let n = 0; n < 2000; n += 1) page.event(n);
  pass(30_000);
  const found = latencies();
  assert.equal(found.length, 200);
  assert.ok(found.some((ms) => ms < 500) && found.some((ms) => ms > 1500));
});

test("of a shared connection the tab counts that has it; latencies are each tab's own", () => {
  const page = listen({ leads: false });
  page.connect();
  page.stream.counts = { ...NONE, legs: 3 };
  page.options.onOpen({});
  pass(1000);
  page.event(0);
  page.stream.leads = true;
  page.stream.counts = { ...NONE, legs: 4 };
  page.options.onOpen({});
  pass(30_000);
  assert.deepEqual(sent[0].beacon.counts, { ...NONE, legs: 1 });
  assert.deepEqual(latencies(), [0]);
});

test("what the browser does not take is sent with the next", () => {
  const page = listen();
  page.connect();
  pass(1000);
  page.event(0);
  accepts = false;
  pass(30_000);
  accepts = true;
  page.event(0);
  pass(30_000);
  assert.deepEqual(latencies(), [0, 0]);
});

test("closing sends what there is", () => {
  const page = listen();
  page.connect();
  pass(1000);
  page.event(0);
  page.beacons.close();
  assert.deepEqual(latencies(), [0]);
  page.event(0);
  pass(100_000);
  assert.equal(sent.length, 1);
});

test("clocks that are set are compared anew", () => {
  const page = listen();
  page.connect();
  page.beat(0);
  for (let minutes = 0; minutes < 25; minutes += 1) {
    pass(60_000);
    page.beat(2000); // ours was set: two seconds ahead of what it was
  }
  page.event(2100);
  pass(30_000);
  assert.deepEqual(latencies().slice(-1), [100]);
});
