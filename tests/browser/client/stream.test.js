import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Stream } from "../../../public/lastevent.js";
import { TooLarge } from "../../../public/lastevent/transport.js";
import { at, beat, control, event, open, rotate } from "./wire.js";

const URL = "http://stream.test/api/streams/s";
const DONE = { status: 200, detail: "", retryAfter: 0 };
const CUT = new TypeError("network error");

/** Let everything happen that needs no time. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

async function pass(ms) {
  await settle();
  mock.timers.tick(ms);
  await settle();
}

/**
 * A transport that answers each leg by the next step: messages, and how the leg ends, `hold` for
 * one that stays open. A leg beyond the steps is a failure of the test.
 */
function script(...steps) {
  const legs = [];
  const transport = async (leg) => {
    const step = steps[legs.length];
    legs.push(leg);
    assert.ok(step, "a leg beyond the script");
    const { messages = [], then = DONE } = step;
    for (const message of messages) leg.onMessage(message);
    leg.onBytes();
    if (then === "hold") {
      return new Promise((_, reject) =>
        leg.signal.addEventListener("abort", () => reject(leg.signal.reason)),
      );
    }
    if (then instanceof Error) throw then;
    return then;
  };
  return { transport, legs };
}

let open_ = [];

/** A stream over the script that keeps what it was told. */
async function follow(steps, options = {}) {
  const { transport, legs } = script(...steps);
  const told = { states: [], events: [], resets: [], openings: [] };
  const stream = new Stream(URL, {
    transport,
    fetch: async () => Promise.reject(CUT),
    onState: (state) => told.states.push(state),
    onEvent: (event) => told.events.push(event.id),
    onReset: (reset) => told.resets.push(reset),
    onOpen: (opening) => told.openings.push(opening),
    ...options,
  });
  open_.push(stream);
  await settle();
  return { stream, legs, told, names: () => told.states.map(({ name }) => name) };
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(Math, "random", () => 0.5);
});
afterEach(() => {
  for (const stream of open_) stream.close();
  open_ = [];
  mock.reset();
  mock.timers.reset();
});

test("a planned end is followed after exactly retry_ms, and nobody hears of it", async () => {
  const { stream, legs, told, names } = await follow([
    { messages: [open(0), event(1), rotate(1, 57)] },
    { messages: [open(1), event(2)], then: "hold" },
  ]);
  await pass(56);
  assert.equal(legs.length, 1);
  await pass(1);
  assert.equal(legs.length, 2);
  assert.equal(legs[1].cursor, at(1));
  assert.deepEqual(names(), ["connecting", "connected"]);
  assert.deepEqual(told.events, [at(1), at(2)]);
  assert.deepEqual(stream.counts, { legs: 2, plannedEnds: 1, cuts: 0, polls: 0 });
});

test("what follows a planned end in the same leg belongs to nobody", async () => {
  const { stream, told } = await follow([
    { messages: [open(0), event(1), rotate(1, 10), event(2)] },
    { messages: [open(1)], then: "hold" },
  ]);
  assert.deepEqual(told.events, [at(1)]);
  assert.equal(stream.cursor, at(1));
});

test("a cut is told with attempt and seconds, and resumed from the last event", async () => {
  const { stream, legs, told } = await follow([
    { messages: [open(0), event(1)], then: CUT },
    { messages: [open(1), event(2)], then: "hold" },
  ]);
  const reason = "the connection was cut";
  const waiting = { name: "reconnecting", attempt: 1, of: 10, seconds: 0.5, reason };
  assert.deepEqual(told.states.at(-1), waiting);
  await pass(500);
  assert.deepEqual(told.states.slice(-2), [{ ...waiting, seconds: 0 }, { name: "connected" }]);
  assert.equal(legs[1].cursor, at(1));
  assert.deepEqual(stream.counts, { legs: 2, plannedEnds: 0, cuts: 1, polls: 0 });
});

test("pauses double, and after the last attempt it is given up", async () => {
  const { stream, told } = await follow(Array(11).fill({ then: CUT }), { poll: 0 });
  for (let passed = 0; stream.state.name !== "disconnected"; passed += 1) {
    assert.ok(passed < 100);
    await pass(1000);
  }
  const pauses = told.states.filter(({ seconds }) => seconds).map(({ seconds }) => seconds);
  assert.deepEqual(pauses, [0.5, 1, 2, 4, 8, 15, 15, 15, 15, 15]);
  assert.equal(stream.state.reason, "gave up: the server cannot be reached");
});

test("reconnect ends a pause, and begins again what was given up, where it stood", async () => {
  const { stream, legs, names } = await follow(
    [{ messages: [open(0), event(1)], then: CUT }, { then: CUT }, { messages: [open(1)], then: "hold" }],
    { attempts: 1 },
  );
  stream.reconnect();
  await settle();
  assert.equal(legs.length, 2);
  assert.equal(stream.state.name, "disconnected");
  stream.reconnect();
  await settle();
  assert.equal(legs[2].cursor, at(1));
  assert.deepEqual(names().slice(-2), ["connecting", "connected"]);
});

test("reconnect leaves a planned pause as it is", async () => {
  const { stream, legs } = await follow([{ messages: [open(0), rotate(0, 5000)] }, { then: "hold" }]);
  stream.reconnect();
  await pass(4999);
  assert.equal(legs.length, 1);
  await pass(1);
  assert.equal(legs.length, 2);
});

test("Retry-After is obeyed", async () => {
  const busy = { status: 503, detail: "busy", retryAfter: 4000 };
  const { legs, told } = await follow([{ then: busy }, { then: "hold" }]);
  assert.deepEqual(told.states.at(-1).seconds, 4);
  await pass(3999);
  assert.equal(legs.length, 1);
  await pass(1);
  assert.equal(legs.length, 2);
});

for (const [status, name, reason] of [
  [204, "ended", undefined],
  [400, "disconnected", "why"],
  [401, "denied", "why"],
  [403, "denied", "why"],
  [404, "disconnected", "why"],
  [408, "reconnecting", "why"],
  [429, "reconnecting", "why"],
  [500, "reconnecting", "why"],
]) {
  test(`${status} leads to ${name}`, async () => {
    const { stream } = await follow([{ then: { status, detail: "why", retryAfter: 0 } }]);
    assert.equal(stream.state.name, name);
    assert.equal(stream.state.reason, reason);
  });
}

test("the stream's end ends it", async () => {
  const { stream, legs } = await follow([{ messages: [open(0), event(1), control("end", at(1))] }]);
  await pass(100_000);
  assert.deepEqual(stream.state, { name: "ended" });
  assert.equal(legs.length, 1);
  assert.equal(stream.counts.cuts, 0);
});

test("an event too large for the client is not asked for again", async () => {
  const { stream } = await follow([{ messages: [open(0)], then: new TooLarge("too large") }]);
  assert.deepEqual(stream.state, { name: "disconnected", reason: "too large" });
});

test("a token that can be had anew is, once in a row", async () => {
  const tokens = ["first", "second", "third"];
  const denied = { messages: [open(0), control("denied", at(0))] };
  const { stream, legs } = await follow(
    [{ messages: [open(0), event(1), control("denied", at(1))] }, denied],
    { token: async () => tokens.shift() },
  );
  await pass(0);
  assert.deepEqual(legs.map(({ token }) => token), ["first", "second"]);
  assert.equal(stream.state.name, "denied");
  assert.deepEqual(tokens, ["third"]);
});

test("a leg that worked makes the next refusal the first again", async () => {
  const tokens = ["first", "second", "third"];
  const refused = { then: { status: 401, detail: "expired", retryAfter: 0 } };
  const { legs } = await follow(
    [refused, { messages: [open(0), event(1), control("denied", at(1))] }, { then: "hold" }],
    { token: () => tokens.shift() },
  );
  await pass(0);
  await pass(0);
  assert.deepEqual(legs.map(({ token }) => token), ["first", "second", "third"]);
});

test("a token that is only a text is not tried again", async () => {
  const refused = { then: { status: 401, detail: "no", retryAfter: 0 } };
  const { stream, legs } = await follow([refused], { token: "text" });
  assert.equal(legs[0].token, "text");
  assert.deepEqual(stream.state, { name: "denied", reason: "no" });
});

test("a token that cannot be had is a failure like others", async () => {
  const { stream } = await follow([], {
    token: async () => {
      throw new Error("the sign-in is away");
    },
  });
  assert.equal(stream.state.name, "reconnecting");
  assert.equal(stream.state.reason, "the sign-in is away");
});

test("lost events are told, with the beginning's loss", async () => {
  const { told } = await follow([
    {
      messages: [
        open(4, { trimmed: true }),
        event(5),
        control("reset", at(8), { from: at(5), to: at(8) }),
        event(9),
      ],
      then: "hold",
    },
  ]);
  assert.deepEqual(told.resets, [{ from: null, to: at(4) }, { from: at(5), to: at(8) }]);
  assert.deepEqual(told.events, [at(5), at(9)]);
});

test("where nobody listens to losses, one stops the stream until reconnect", async () => {
  const lost = control("reset", at(8), { from: at(1), to: at(8) });
  const { stream, legs, told } = await follow(
    [{ messages: [open(0), event(1), lost, event(9)] }, { messages: [event(9)], then: "hold" }],
    { onReset: undefined },
  );
  assert.equal(stream.state.name, "disconnected");
  assert.match(stream.state.reason, /lost/);
  assert.deepEqual(told.events, [at(1)]);
  stream.reconnect();
  await settle();
  assert.equal(legs[1].cursor, at(8));
  assert.deepEqual(told.events, [at(1), at(9)]);
});

test("silence for two heartbeats is a cut; planned pauses are not watched", async () => {
  const { legs, told, names } = await follow([
    { messages: [open(0, { heartbeat: 2 }), rotate(0, 20_000)] },
    { messages: [open(0, { heartbeat: 2 })], then: "hold" },
  ]);
  await pass(19_999);
  assert.deepEqual(names(), ["connecting", "connected"]);
  await pass(1);
  assert.equal(legs.length, 2);
  await pass(3999);
  assert.equal(names().at(-1), "connected");
  await pass(1);
  assert.equal(told.states.at(-1).name, "reconnecting");
  assert.match(told.states.at(-1).reason, /nothing was heard/);
});

test("a server that says nothing at all is given up after thirty seconds", async () => {
  const { names } = await follow([{ then: "hold" }], { poll: 0 });
  await pass(29_999);
  assert.deepEqual(names(), ["connecting"]);
  await pass(1);
  assert.deepEqual(names(), ["connecting", "reconnecting"]);
});

test("a whole answer is waited for as long as it is held, and a margin", async () => {
  const held = open(0, { heartbeat: 15, ends_in: 25, buffered: true });
  const { legs, names } = await follow([
    { messages: [held, rotate(0, 100)] },
    { messages: [], then: "hold" },
  ]);
  await pass(100);
  assert.equal(legs.length, 2);
  await pass(39_999);
  assert.notEqual(names().at(-1), "reconnecting");
  await pass(1);
  assert.equal(names().at(-1), "reconnecting");
});

test("heartbeats are told, with the server's time where they name it", async () => {
  const beats = [];
  const bare = { ...beat, data: "" };
  await follow([{ messages: [open(0), beat, bare], then: "hold" }], {
    onBeat: (time) => beats.push(time),
  });
  assert.deepEqual(beats, [0, null]);
});

test("until when the server asked to stay away can be seen", async () => {
  const busy = { status: 503, detail: "busy", retryAfter: 4000 };
  const { stream, legs } = await follow([
    { then: busy },
    { messages: [open(0), rotate(0, 5000)] },
    { then: "hold" },
  ]);
  assert.equal(stream.notBefore, 4000);
  stream.reconnect();
  await settle();
  assert.equal(legs.length, 2);
  assert.equal(stream.notBefore, 5000, "by a planned end too");
  await pass(5000);
  legs[2].onMessage(open(0));
  assert.ok(stream.notBefore <= Date.now(), "it asked for nothing since");
});

test("bytes keep the watch quiet", async () => {
  const { legs, names } = await follow([
    { messages: [open(0, { heartbeat: 2 })], then: "hold" },
  ]);
  for (let beat = 0; beat < 5; beat += 1) {
    await pass(3999);
    legs[0].onBytes();
  }
  assert.equal(names().at(-1), "connected");
});

test("nothing is called after close, and what runs is ended", async () => {
  const { stream, legs, told } = await follow([{ messages: [open(0)], then: "hold" }]);
  stream.close();
  legs[0].onMessage(event(1));
  await pass(100_000);
  assert.ok(legs[0].signal.aborted);
  assert.deepEqual(told.events, []);
  assert.equal(told.states.at(-1).name, "connected");
});

test("a callback that throws is reported, and costs no event", async () => {
  const thrown = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.once("uncaughtException", (error) => thrown.push(error.message));
  const seen = [];
  await follow([{ messages: [open(0), event(1), event(2)], then: "hold" }], {
    onEvent: ({ id }) => {
      seen.push(id);
      if (id === at(1)) throw new Error("a defect of the page");
    },
  });
  for (const listener of listeners) process.on("uncaughtException", listener);
  assert.deepEqual(seen, [at(1), at(2)]);
  assert.deepEqual(thrown, ["a defect of the page"]);
});

test("start and types become part of the address", async () => {
  const { legs } = await follow([{ then: "hold" }], { start: "last:5", types: ["a", "b"] });
  assert.equal(legs[0].url, `${URL}?from=last%3A5&types=a%2Cb`);
});

test("each planned end is told with its pause, which is no change of the state", async () => {
  const pauses = [];
  const { names } = await follow(
    [{ messages: [open(0), rotate(0, 57)] }, { messages: [open(0)], then: "hold" }],
    { onPause: (ms) => pauses.push(ms) },
  );
  await pass(57);
  assert.deepEqual(pauses, [57]);
  assert.deepEqual(names(), ["connecting", "connected"]);
});

/** A page in the place of none, for as long as the test lasts; what happens to it is dispatched. */
function onPage() {
  const page = new EventTarget();
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  globalThis.addEventListener = page.addEventListener.bind(page);
  return (type) => page.dispatchEvent(new Event(type));
}

afterEach(() => {
  delete globalThis.document;
  delete globalThis.addEventListener;
});

test("a leg that was open when the network went is had anew at once when it is back", async () => {
  const happen = onPage();
  const { stream, legs, told, names } = await follow([
    { messages: [open(0), event(1)], then: "hold" },
    { messages: [open(1)], then: "hold" },
  ]);
  happen("offline");
  await pass(10_000);
  assert.deepEqual(names(), ["connecting", "connected"], "perhaps it still stands");
  happen("online");
  await settle();
  const reason = "the network was away";
  const again = { name: "reconnecting", attempt: 1, of: 10, seconds: 0, reason };
  assert.deepEqual(told.states.slice(2), [again]);
  assert.ok(legs[0].signal.aborted);
  await pass(0);
  assert.equal(legs[1].cursor, at(1));
  assert.deepEqual(names().slice(2), ["reconnecting", "connected"]);
  assert.deepEqual(stream.counts, { legs: 2, plannedEnds: 0, cuts: 1, polls: 0 });
  happen("online");
  await pass(10_000);
  assert.equal(legs.length, 2, "once");
});

test("a leg that began after the network went is left alone", async () => {
  const happen = onPage();
  const { stream, legs } = await follow([
    { messages: [open(0), event(1), rotate(1, 2000)] },
    { messages: [open(1)], then: "hold" },
  ]);
  happen("offline");
  await pass(2000);
  happen("online");
  await pass(10_000);
  assert.equal(legs.length, 2);
  assert.equal(stream.counts.cuts, 0);
});

test("the network's return shortens no planned pause, and undercuts no Retry-After", async () => {
  const happen = onPage();
  const busy = { status: 503, detail: "busy", retryAfter: 4000 };
  const { legs } = await follow([
    { messages: [open(0), rotate(0, 5000)] },
    { then: busy },
    { then: "hold" },
  ]);
  happen("offline");
  happen("online");
  await pass(4999);
  assert.equal(legs.length, 1);
  await pass(1);
  assert.equal(legs.length, 2);
  await pass(2000);
  happen("offline");
  happen("online");
  await pass(1999);
  assert.equal(legs.length, 2);
  await pass(1);
  assert.equal(legs.length, 3);
});
