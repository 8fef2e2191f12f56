import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { SharedStream } from "../../../public/lastevent/tabs.js";
import { Browser, Server } from "./tabs.js";
import { at, control } from "./wire.js";

const URL_ = "http://stream.test/api/streams/s";
const { BroadcastChannel } = globalThis;
const SEEDS = 40;

let browser;
let server;
let tabs;

/** Let everything happen that needs no time; bodies of answers take a few turns. */
async function settle() {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function pass(ms, step = ms) {
  for (let passed = 0; passed < ms; passed += step) {
    await settle();
    mock.timers.tick(step);
  }
  await settle();
}

/** Open a tab; `told` is what it has heard. */
async function openTab(options = {}) {
  const told = { events: [], states: [], resets: [], openings: 0 };
  const stream = new SharedStream(URL_, {
    subject: "clara",
    transport: server.transport,
    fetch: server.fetch,
    onEvent: ({ id }) => told.events.push(id),
    onState: (state) => told.states.push(state),
    onReset: (reset) => told.resets.push(reset),
    onOpen: () => (told.openings += 1),
    ...options,
  });
  const before = browser.channels;
  await pass(1);
  const channel = browser.channels.find((one) => !before.includes(one));
  const tab = { stream, told, channel, names: () => told.states.map(({ name }) => name) };
  tabs.push(tab);
  return tab;
}

const ids = (first, last) =>
  Array.from({ length: last - first + 1 }, (_, place) => at(first + place));

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1.7e12 });
  mock.method(Math, "random", () => 0.5);
  browser = new Browser();
  browser.install();
  server = new Server();
  tabs = [];
});
afterEach(() => {
  for (const { stream } of tabs) stream.close();
  mock.reset();
  mock.timers.reset();
  delete globalThis.navigator;
  delete globalThis.document;
  globalThis.BroadcastChannel = BroadcastChannel;
});

test("a tab alone leads; the second follows, and asks once for what was", async () => {
  server.publish();
  const first = await openTab();
  const second = await openTab();
  server.publish();
  await settle();
  assert.deepEqual([first.stream.leads, second.stream.leads], [true, false]);
  assert.deepEqual(first.told.events, ids(1, 2));
  assert.deepEqual(second.told.events, ids(1, 2));
  assert.deepEqual(server.asked.length, 1 + 1, "a poll asks until there is nothing more");
  assert.deepEqual(second.names(), ["connecting", "connected"]);
  assert.equal(second.stream.cursor, first.stream.cursor);
  assert.equal(server.most, 1);
});

test("what comes while something is fetched is taken after it, from a late replica too", async () => {
  await openTab();
  for (let n = 0; n < 5; n += 1) server.publish();
  server.late = 3;
  const second = await openTab();
  server.publish();
  await settle();
  assert.deepEqual(second.told.events, ids(1, 2));
  server.late = 0;
  await pass(1000, 100);
  assert.deepEqual(second.told.events, ids(1, 6));
});

test("a change of the leader is no change of the state, and its counts go on", async () => {
  const first = await openTab();
  const second = await openTab();
  const third = await openTab();
  server.rotate();
  await pass(100, 20);
  first.stream.close();
  await pass(1);
  server.publish();
  await settle();
  for (const tab of [second, third]) {
    assert.deepEqual(tab.names(), ["connecting", "connected"]);
    assert.deepEqual(tab.told.events, ids(1, 1));
    assert.deepEqual(tab.stream.counts, { legs: 3, plannedEnds: 1, cuts: 0, polls: 0 });
  }
  assert.equal(second.stream.leads, true);
});

test("who takes over keeps to what the server asked of the one before", async () => {
  server.answer = { status: 503, detail: "busy", retryAfter: 60_000 };
  const first = await openTab();
  const second = await openTab();
  assert.equal(second.stream.state.name, "reconnecting");
  assert.equal(Math.round(second.stream.state.seconds), 60);
  server.answer = null;
  await pass(20_000, 1000);
  first.stream.close();
  await pass(39_000, 1000);
  assert.equal(server.most, 0);
  assert.equal(second.stream.leads, true);
  await pass(2000, 1000);
  assert.equal(server.most, 1);
  assert.equal(second.stream.state.name, "connected");
});

test("who takes over within a planned pause keeps to it", async () => {
  const first = await openTab();
  const second = await openTab();
  server.publish();
  await settle();
  server.rotate(30_000);
  await settle();
  assert.equal(second.stream.notBefore, Date.now() + 30_000);
  await pass(10_000, 1000);
  first.stream.close();
  await pass(1);
  assert.equal(second.stream.leads, true);
  second.stream.reconnect(); // which is for pauses after failures
  await pass(19_998, 6666);
  assert.equal(server.legs.size, 0);
  await pass(1);
  assert.deepEqual([...server.legs].map(({ leg }) => leg.cursor), [at(1)]);
  assert.deepEqual(second.names(), ["connecting", "connected"]);
});

test("another preference begins anew, and not before a planned pause is over", async () => {
  globalThis.location = new URL("http://stream.test/");
  const { fetch } = globalThis;
  globalThis.fetch = async () => Response.json({ sub: "clara" });
  const { follow } = await import("../../../public/site/live.js");
  const { preferences } = await import("../../../public/lastevent/preferences.js");
  const { transport } = server;
  const events = [];
  const onEvent = ({ id }) => events.push(id);
  const stream = follow(URL_, { transport, fetch: server.fetch, onEvent });
  tabs.push({ stream });
  await settle();
  server.publish();
  await settle();
  server.rotate(30_000);
  await pass(10_000, 1000);
  preferences.set({ strategy: "gentle" });
  await pass(19_000, 1000);
  assert.equal(server.legs.size, 0);
  await pass(1000);
  assert.deepEqual([...server.legs].map(({ leg }) => leg.cursor), [at(1)]);
  assert.deepEqual(events, ids(1, 1));
  stream.close();
  preferences.set({ strategy: "fast" });
  globalThis.fetch = fetch;
  delete globalThis.location;
});

test("a leader whose page is left loses its connection first, which nobody needs to know", async () => {
  const first = await openTab();
  const second = await openTab();
  server.cut();
  await pass(100);
  first.stream.close();
  await pass(1000, 100);
  assert.deepEqual(second.names(), ["connecting", "connected"]);
  assert.equal(second.stream.leads, true);
  const third = await openTab();
  server.answer = { status: 503, detail: "busy", retryAfter: 0 };
  server.cut();
  await pass(400, 100);
  assert.equal(third.stream.state.name, "reconnecting");
  assert.equal(third.stream.state.reason, second.stream.state.reason);
});

test("any tab may try at once, also who takes over and waits", async () => {
  server.answer = { status: 503, detail: "busy", retryAfter: 60_000 };
  const first = await openTab();
  const second = await openTab();
  server.answer = null;
  second.stream.reconnect();
  await settle();
  assert.equal(second.stream.state.name, "connected");
  server.answer = { status: 503, detail: "busy", retryAfter: 60_000 };
  server.cut();
  await pass(1000);
  first.stream.close();
  server.answer = null;
  await pass(1);
  second.stream.reconnect();
  await settle();
  assert.equal(second.stream.state.name, "connected");
});

test("a refusal is told to all, once asked, and asked again when any tab wants it", async () => {
  server.answer = { status: 403, detail: "not you", retryAfter: 0 };
  const first = await openTab();
  const second = await openTab();
  for (const tab of [first, second]) {
    assert.deepEqual(tab.stream.state, { name: "denied", reason: "not you" });
  }
  server.answer = null;
  server.publish();
  second.stream.reconnect();
  await pass(1);
  for (const tab of [first, second]) {
    assert.equal(tab.stream.state.name, "connected");
    assert.deepEqual(tab.told.events, ids(1, 1));
  }
});

test("the end is told after what came before it, and nobody asks again", async () => {
  const first = await openTab();
  const second = await openTab();
  server.publish();
  for (const { leg } of server.legs) leg.onMessage(control("end", server.cursor));
  for (const one of server.legs) one.end({ status: 200, detail: "", retryAfter: 0 });
  server.legs.clear();
  const asked = server.asked.length;
  await pass(60_000, 1000);
  for (const tab of [first, second]) {
    assert.deepEqual(tab.told.events, ids(1, 1));
    assert.equal(tab.names().at(-1), "ended");
  }
  assert.equal(server.asked.length, asked);
  assert.equal(browser.channels.length, 0);
});

test("a leader that does not answer is replaced", async () => {
  const first = await openTab();
  const second = await openTab();
  first.channel.isMute = true;
  server.publish();
  await pass(19_000, 1000);
  assert.equal(second.stream.leads, false);
  await pass(4000, 1000);
  assert.equal(second.stream.leads, true);
  assert.equal(first.stream.leads, false);
  first.channel.isMute = false;
  server.publish();
  await settle();
  for (const tab of [first, second]) assert.deepEqual(tab.told.events, ids(1, 2));
  assert.equal(server.legs.size, 1);
});

test("a leader that beats is left alone, and one that is silent may answer", async () => {
  const first = await openTab();
  const second = await openTab();
  for (let beats = 0; beats < 10; beats += 1) {
    await pass(15_000, 1000);
    server.beat();
  }
  await pass(25_000, 1000);
  assert.equal(first.stream.leads, true);
  assert.equal(second.stream.leads, false);
});

test("a tab that is seen leads in the place of one that is hidden for long", async () => {
  const first = await openTab();
  const second = await openTab();
  // There is one document here: it is hidden while the leader speaks, and seen when the other hears.
  const isLeaders = () => first.stream.leads && speaking;
  let speaking = false;
  globalThis.document = {
    get visibilityState() {
      return isLeaders() ? "hidden" : "visible";
    },
  };
  const speak = async () => {
    speaking = true;
    server.beat();
    speaking = false;
    await settle();
  };
  await speak();
  await pass(15_000, 1000);
  await speak();
  assert.equal(first.stream.leads, true, "for who flips through tabs nothing changes");
  await pass(16_000, 1000);
  await speak();
  assert.equal(second.stream.leads, true);
  assert.equal(first.stream.leads, false);
});

test("where the browser refuses locks, each tab has a stream of its own", async () => {
  navigator.locks.request = async () => {
    throw new DOMException("not for this page", "SecurityError");
  };
  const first = await openTab();
  const second = await openTab();
  server.publish();
  await settle();
  for (const tab of [first, second]) assert.deepEqual(tab.told.events, ids(1, 1));
  assert.equal(server.legs.size, 2);
});

test("a callback that closes its stream hears nothing more", async () => {
  await openTab();
  const seen = [];
  const second = await openTab({
    onEvent: ({ id }) => {
      seen.push(id);
      second.stream.close();
    },
  });
  server.publish();
  server.publish();
  await settle();
  assert.deepEqual(seen, ids(1, 1));
  assert.equal(second.stream.state.reason, "closed");
});

/** Numbers in [0, 1) that a seed decides (mulberry32). */
function chances(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

for (let seed = 1; seed <= SEEDS; seed += 1) {
  test(`whatever happens, each tab has each event once and in order (${seed})`, async () => {
    const chance = chances(seed);
    mock.method(Math, "random", chance);
    const some = () => tabs[Math.floor(chance() * tabs.length)];
    const steps = {
      publish: () => server.publish(),
      burst: () => Array.from({ length: 5 }, () => server.publish()),
      open: () => tabs.length < 6 && openTab(),
      close: () => tabs.length > 1 && tabs.splice(tabs.indexOf(some()), 1)[0].stream.close(),
      cut: () => server.cut(),
      rotate: () => server.rotate(),
      late: () => (server.late = Math.floor(chance() * 4)),
      mute: () => (some().channel.isMute = true),
      hear: () => tabs.forEach(({ channel }) => (channel.isMute = false)),
      down: () => (server.answer = { status: 503, detail: "busy", retryAfter: 0 }),
      up: () => (server.answer = null),
      wait: () => pass(Math.floor(chance() * 3000)),
      moment: () => pass(Math.floor(chance() * 50)),
      long: () => pass(25_000, 500),
    };
    const names = Object.keys(steps);
    const weights = ["publish", "publish", "moment", "moment", "wait", "open", ...names];
    await openTab();
    for (let step = 0; step < 60; step += 1) {
      await steps[weights[Math.floor(chance() * weights.length)]]();
      await settle();
    }
    steps.up();
    steps.hear();
    server.late = 0;
    for (let rounds = 0; rounds < 8; rounds += 1) {
      server.beat();
      await pass(15_000, 500);
    }
    for (const { stream, told } of tabs) {
      if (stream.state.name === "disconnected") stream.reconnect();
      await pass(1000, 100);
      assert.deepEqual(told.events, ids(1, server.events.length));
      assert.deepEqual(told.resets, []);
    }
    assert.equal(server.legs.size, 1);
    assert.equal(tabs.filter(({ stream }) => stream.leads).length, 1);
  });
}
