import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Stream } from "../../../public/lastevent.js";
import { at, event, open, rotate } from "./wire.js";

const URL_ = "http://stream.test/api/streams/s?types=note";
const CUT = new TypeError("network error");
const REASON = "the server cannot be reached";

/** Let everything happen that needs no time; bodies of answers take a few turns. */
async function settle() {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function pass(ms) {
  await settle();
  mock.timers.tick(ms);
  await settle();
}

/** Have a stream whose legs all fail come to the first poll that stands in. */
async function failThrice() {
  for (const ms of [500, 1000, 0]) await pass(ms);
}

/** A log as its JSON face shows it; `answers` stand in the place of pages, the next one first. */
class Log {
  events = [];
  closed = false;
  limit = 500;
  answers = [];
  asked = [];

  fetch = async (url, { headers }) => {
    assert.equal(headers.Accept, "application/json");
    this.asked.push({ url: new URL(url), headers });
    const answer = this.answers.shift();
    if (answer instanceof Error) throw answer;
    return answer ?? Response.json(this.page(new URL(url).searchParams.get("after") ?? at(0)));
  };

  page(after) {
    const rest = this.events.filter(({ id }) => id > after);
    const events = rest.slice(0, this.limit);
    const cursor = events.at(-1)?.id ?? after;
    const closed = this.closed && events.length === rest.length;
    return { events, start: after, cursor, closed, truncated: false };
  }
}

let streams = [];

/** A stream whose legs all fail, until `legs` has other steps; it polls `log`. */
async function follow(log, options = {}, legs = []) {
  const told = { states: [], events: [], resets: [] };
  let asked = 0;
  const stream = new Stream(URL_, {
    fetch: log.fetch,
    transport: async (leg) => {
      asked += 1;
      const step = legs.shift();
      if (!step) throw CUT;
      for (const message of step(leg)) leg.onMessage(message);
      return new Promise((_, reject) =>
        leg.signal.addEventListener("abort", () => reject(leg.signal.reason)),
      );
    },
    onState: (state) => told.states.push(state),
    onEvent: ({ id }) => told.events.push(id),
    onReset: (reset) => told.resets.push(reset),
    ...options,
  });
  streams.push(stream);
  await settle();
  return { stream, told, legs, asked: () => asked };
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1.7e12 });
  mock.method(Math, "random", () => 0.5);
});
afterEach(() => {
  for (const stream of streams) stream.close();
  streams = [];
  mock.reset();
  mock.timers.reset();
});

test("after three failures polls stand in, every 30 s, and the stream is tried on", async () => {
  const log = new Log();
  log.events = [event(1), event(2)];
  const { stream, told, asked } = await follow(log);
  await pass(500);
  assert.equal(log.asked.length, 0, "what passes by itself is waited for");
  await pass(1000);
  await pass(0);
  assert.deepEqual(told.events, [at(1), at(2)]);
  assert.deepEqual(told.states.at(-1), { name: "polling", seconds: 2, reason: REASON });
  assert.equal(stream.cursor, at(2));
  log.events.push(event(3));
  for (let seconds = 0; seconds < 27; seconds += 1) await pass(1000);
  assert.equal(log.asked.length, 1 + 1, "one poll asks until there is nothing more");
  for (let seconds = 0; seconds < 60; seconds += 1) await pass(1000);
  assert.deepEqual(told.events, [at(1), at(2), at(3)]);
  assert.ok(stream.counts.polls >= 2 && stream.counts.polls <= 4);
  assert.ok(asked() >= 6);
  assert.equal(told.states.filter(({ name }) => name === "connected").length, 0);
});

test("it polls for as long as polls are answered, and gives up with them", async () => {
  const log = new Log();
  const { stream, asked } = await follow(log);
  for (let seconds = 0; seconds < 1000; seconds += 1) await pass(1000);
  assert.equal(stream.state.name, "polling");
  assert.ok(asked() > 20, "attempts go on at the pace of the polls");
  assert.ok(asked() < 50);
  log.answers = Array(100).fill(CUT);
  for (let seconds = 0; seconds < 60; seconds += 1) await pass(1000);
  assert.deepEqual(stream.state, { name: "disconnected", reason: `gave up: ${REASON}` });
  const polls = log.asked.length;
  for (let seconds = 0; seconds < 60; seconds += 1) await pass(1000);
  assert.equal(log.asked.length, polls);
});

test("the stream comes back without a seam: nothing twice, nothing missing", async () => {
  const log = new Log();
  log.events = [event(1), event(2)];
  const { stream, told, legs } = await follow(log);
  await failThrice();
  assert.equal(stream.state.name, "polling");
  let resumed = null;
  legs.push((leg) => {
    resumed = leg.cursor;
    return [open(2), event(2), event(3)];
  });
  await pass(2000);
  assert.equal(resumed, at(2));
  assert.deepEqual(told.events, [at(1), at(2), at(3)]);
  assert.equal(stream.repeated, 1);
  assert.deepEqual(told.states.at(-1), { name: "connected" });
});

test("reconnect ends a pause between polls", async () => {
  const { stream, asked } = await follow(new Log());
  await failThrice();
  const before = asked();
  stream.reconnect();
  await settle();
  assert.equal(asked(), before + 1);
});

test("none are made where they are not wanted", async () => {
  const log = new Log();
  const { stream } = await follow(log, { poll: 0 });
  for (let seconds = 0; seconds < 200; seconds += 1) await pass(1000);
  assert.equal(stream.state.name, "disconnected");
  assert.equal(log.asked.length, 0);
});

test("without realtime polls are all there is", async () => {
  const log = new Log();
  log.events = [event(1)];
  const { stream, told, asked } = await follow(log, { realtime: false, token: "t" });
  assert.deepEqual(told.states, [
    { name: "connecting" },
    { name: "polling", seconds: 30, reason: "" },
  ]);
  assert.equal(log.asked[0].headers.Authorization, "Bearer t");
  assert.equal(log.asked[0].url.searchParams.get("types"), "note");
  log.events.push(event(2));
  await pass(29_999);
  assert.deepEqual(told.events, [at(1)]);
  await pass(1);
  assert.deepEqual(told.events, [at(1), at(2)]);
  assert.equal(asked(), 0);
  log.answers = Array(11).fill(CUT);
  for (let seconds = 0; seconds < 300; seconds += 1) await pass(1000);
  assert.deepEqual(stream.state, { name: "disconnected", reason: `gave up: ${REASON}` });
  assert.equal(log.answers.length, 0);
});

test("many pages are read one after the other", async () => {
  const log = new Log();
  log.limit = 2;
  log.events = [1, 2, 3, 4, 5].map((n) => event(n));
  const { told } = await follow(log, { realtime: false });
  assert.equal(told.events.length, 5);
  assert.deepEqual(
    log.asked.map(({ url }) => url.searchParams.get("after")),
    [null, at(2), at(4), at(5)],
  );
});

test("the end of a log ends it", async () => {
  const log = new Log();
  log.events = [event(1)];
  log.closed = true;
  const { stream, told } = await follow(log, { realtime: false });
  assert.deepEqual(told.events, [at(1)]);
  assert.equal(stream.state.name, "ended");
});

test("a loss is told, and what follows it is read though it may lie before", async () => {
  const log = new Log();
  const generation = "018a00000000";
  const events = [event(1)].map((it) => ({ ...it, id: at(1, generation) }));
  const start = at(0, generation);
  log.answers = [
    Response.json({ events, start, cursor: events[0].id, closed: false, truncated: true }),
  ];
  const { told } = await follow(log, { realtime: false, cursor: at(7) });
  assert.deepEqual(told.resets, [{ from: at(7), to: start }]);
  assert.deepEqual(told.events, [events[0].id]);
});

for (const [status, name] of [
  [401, "denied"],
  [403, "denied"],
  [404, "disconnected"],
]) {
  test(`a poll answered ${status} is final`, async () => {
    const log = new Log();
    const type = { "Content-Type": "application/problem+json" };
    const body = JSON.stringify({ status, detail: "not you" });
    log.answers = [new Response(body, { status, headers: type })];
    const { stream } = await follow(log, { realtime: false });
    assert.deepEqual(stream.state, { name, reason: "not you" });
  });
}

test("Retry-After keeps a poll away for so long", async () => {
  const log = new Log();
  log.answers = [new Response("", { status: 429, headers: { "Retry-After": "120" } })];
  const { stream } = await follow(log, { realtime: false });
  assert.equal(stream.state.name, "reconnecting");
  assert.equal(stream.state.seconds, 120);
});

test("what a poll that stands in is asked for holds for the stream too", async () => {
  const log = new Log();
  log.answers = [new Response("", { status: 429, headers: { "Retry-After": "120" } })];
  const { stream, asked } = await follow(log);
  await failThrice();
  assert.equal(log.asked.length, 1);
  assert.equal(stream.state.seconds, 120);
  const before = asked();
  for (let seconds = 0; seconds < 119; seconds += 1) await pass(1000);
  assert.equal(asked(), before);
  assert.equal(log.asked.length, 1);
  await pass(1000);
  assert.equal(asked(), before + 1);
});

test("no server keeps anybody away for more than an hour", async () => {
  const log = new Log();
  log.answers = [new Response("", { status: 429, headers: { "Retry-After": "99999999" } })];
  const { stream } = await follow(log, { realtime: false });
  assert.equal(stream.state.seconds, 3600);
});

test("what is no page of events is a failure", async () => {
  for (const answer of [Response.json({}), new Response("<p>", { status: 200 })]) {
    const log = new Log();
    log.answers = [answer];
    const { stream } = await follow(log, { realtime: false });
    assert.equal(stream.state.name, "reconnecting");
    assert.match(stream.state.reason, /the server sent/);
  }
});

test("a planned end is no reason to poll", async () => {
  const log = new Log();
  const legs = Array(5).fill(() => [open(0), rotate(0, 10)]);
  const done = { status: 200, detail: "", retryAfter: 0 };
  const stream = new Stream(URL_, {
    fetch: log.fetch,
    transport: async (leg) => {
      const step = legs.shift();
      if (!step) return new Promise(() => {});
      for (const message of step(leg)) leg.onMessage(message);
      return done;
    },
  });
  streams.push(stream);
  for (let seconds = 0; seconds < 20; seconds += 1) await pass(1000);
  assert.equal(legs.length, 0);
  assert.equal(log.asked.length, 0);
});

/** Let seconds pass in halves: a tick is how exactly a clock can be read here. */
async function seconds(many) {
  for (let half = 0; half < 2 * many; half += 1) await pass(500);
}

/**
 * A stream whose attempts hang until `speak`, and when attempts and polls were asked for, in s.
 */
async function hang(log, options = {}) {
  const began = Date.now();
  const times = { legs: [], polls: [] };
  const legs = [];
  const tell = (asked) => {
    const now = (Date.now() - began) / 1000;
    if (asked.at(-1) !== now) asked.push(now); // a poll asks until there is nothing more
  };
  const followed = await follow(log, {
    fetch: (...given) => {
      tell(times.polls);
      return log.fetch(...given);
    },
    transport: (leg) => {
      tell(times.legs);
      return new Promise((resolve, reject) => {
        const speak = (...messages) => {
          for (const message of messages) leg.onMessage(message);
          leg.onBytes();
          if (leg.isOver()) resolve({ status: 200, detail: "", retryAfter: 0 });
        };
        legs.push({ leg, speak, answer: resolve });
        leg.signal.addEventListener("abort", () => reject(leg.signal.reason));
      });
    },
    ...options,
  });
  return { ...followed, times, legs, last: () => legs.at(-1) };
}

for (const strategy of ["fast", "gentle"]) {
  test(`while attempts hang there is a poll every 30 s (${strategy})`, async () => {
    const log = new Log();
    const { stream, told, times } = await hang(log, { strategy });
    await seconds(15);
    log.events.push(event(1));
    await seconds(16);
    assert.deepEqual(told.events, [at(1)]);
    assert.equal(stream.state.name, "polling");
    await seconds(119);
    assert.deepEqual(times.polls, [30, 60, 90, 120, 150]);
    assert.ok(times.legs.length >= 4, "attempts go on meanwhile");
    assert.deepEqual(told.events, [at(1)]);
    assert.equal(stream.counts.polls, 5);
    assert.equal(stream.repeated, 0);
  });
}

test("a poll that hangs is given up, and costs no other one", async () => {
  const log = new Log();
  const asked = [];
  const began = Date.now();
  const fetch = (_url, { signal }) => {
    asked.push(Date.now() - began);
    return new Promise((_, reject) => (signal.onabort = () => reject(signal.reason)));
  };
  await hang(log, { fetch });
  await seconds(130);
  const gaps = asked.map((time, place) => time - (asked[place - 1] ?? 0));
  assert.equal(gaps.length, 4);
  for (const gap of gaps) assert.ok(gap >= 30_000 && gap <= 31_000, `${gaps}`);
});

test("a stream's first word ends the poll that is under way, and none is made while it stands", async () => {
  const log = new Log();
  const held = [];
  const { told, times, last, stream } = await hang(log, {
    fetch: async (_url, { signal }) => {
      signal.throwIfAborted();
      return new Promise((resolve) => held.push(resolve));
    },
  });
  await seconds(31);
  assert.equal(held.length, 1);
  last().speak(open(0), event(1));
  held[0](Response.json({ ...log.page(at(0)), events: [event(1), event(2)], cursor: at(2) }));
  await settle();
  assert.deepEqual(told.events, [at(1)], "its answer counts for nothing");
  assert.equal(stream.cursor, at(1));
  assert.equal(stream.repeated, 0);
  for (let beats = 0; beats < 12; beats += 1) {
    await seconds(10);
    last().speak();
  }
  assert.equal(held.length, 1);
  assert.deepEqual(times.legs.length, 2);
  assert.equal(stream.state.name, "connected");
});

test("polls stand in again where a stream is lost that had shown nothing", async () => {
  const log = new Log();
  const { times, last, stream } = await hang(log);
  await seconds(94);
  assert.deepEqual(times.polls, [30, 60, 90]);
  last().speak(open(0));
  assert.equal(stream.state.name, "connected");
  await seconds(60);
  const after = times.polls.slice(3);
  assert.ok(after[0] >= 124 && after[0] < 125, `${after}`);
});

test("an attempt from where polls have gone on since is made anew, and nothing comes twice", async () => {
  const log = new Log();
  // Of ids without an order only this keeps what comes again from being taken for new.
  const events = ["x", "b", "a"].map((id) => ({ id, type: "note", data: id }));
  const page = { events, start: "", cursor: "a", closed: false, truncated: false };
  log.answers = [Response.json(page), Response.json({ ...page, events: [] })];
  const { told, legs, last, stream } = await hang(log);
  await seconds(32);
  assert.deepEqual(told.events, ["x", "b", "a"]);
  const asked = legs.length;
  const [first] = legs.slice(-1);
  assert.equal(first.leg.cursor, "a", "an attempt that began after the poll goes on from there");
  log.answers = [
    Response.json({ ...page, events: [{ ...events[0], id: "n" }], cursor: "n" }),
    Response.json({ ...page, events: [], cursor: "n" }),
  ];
  await seconds(28);
  assert.deepEqual(told.events, ["x", "b", "a", "n"]);
  assert.equal(legs.length, asked, "the attempt still hangs");
  last().speak({ ...open(0), id: "a" }, { ...events[0], id: "n" });
  await pass(0);
  assert.equal(legs.length, asked + 1);
  assert.equal(last().leg.cursor, "n");
  last().speak({ ...open(0), id: "n" }, { ...events[0], id: "m" });
  assert.deepEqual(told.events, ["x", "b", "a", "n", "m"]);
  assert.deepEqual(stream.counts, { legs: 1, plannedEnds: 0, cuts: 0, polls: 2 });
  assert.equal(stream.state.name, "connected");
});

test("what polls bring does not count for the stream: attempts go on growing apart", async () => {
  const log = new Log();
  const { stream, times } = await hang(log, { poll: 5000 });
  for (let n = 1; n <= 40; n += 1) {
    log.events.push(event(n));
    await seconds(5);
  }
  assert.equal(stream.counts.polls, 40);
  const pauses = times.legs.slice(1).map((time, place) => time - (times.legs[place] ?? 0) - 30);
  assert.deepEqual(pauses.slice(0, 4), [0.5, 1, 2, 4]);
});

test("a poll that is refused, or answered with the end, ends the attempt too", async () => {
  for (const [status, name] of [[403, "denied"], [200, "ended"]]) {
    const log = new Log();
    log.closed = true;
    const type = { "Content-Type": "application/problem+json" };
    if (status !== 200) log.answers = [new Response("{}", { status, headers: type })];
    const { stream, legs, times } = await hang(log, { poll: 20_000 });
    await seconds(20);
    await pass(0);
    assert.equal(stream.state.name, name);
    assert.ok(legs.every(({ leg }) => leg.signal.aborted));
    const asked = [times.legs.length, times.polls.length];
    await seconds(100);
    assert.deepEqual([times.legs.length, times.polls.length], asked);
  }
});

test("a token that a poll and the stream were refused is had anew once", async () => {
  const log = new Log();
  const tokens = ["old", "new", "newer"];
  log.answers = [new Response("{}", { status: 401 })];
  const { stream, last, legs, told } = await hang(log, { token: () => tokens.shift(), poll: 20_000 });
  await seconds(21);
  assert.equal(log.asked.at(-1).headers.Authorization, "Bearer new");
  legs[0].answer({ status: 401, detail: "expired", retryAfter: 0 });
  await pass(0);
  assert.equal(last().leg.token, "new");
  assert.deepEqual(tokens, ["newer"]);
  assert.equal(stream.state.name, "polling");
  assert.ok(told.states.every(({ name }) => name !== "denied"));
});

test("a token that expires again and again while nothing comes is had anew each time", async () => {
  const log = new Log();
  const tokens = ["one", "two", "three"];
  const refused = () => new Response("{}", { status: 401 });
  const page = () => Response.json(log.page(at(0)));
  log.answers = [page(), refused(), page(), refused(), page()];
  const { stream } = await follow(log, { realtime: false, token: () => tokens.shift() });
  for (let polls = 0; polls < 4; polls += 1) {
    await pass(30_000);
    await pass(0);
  }
  assert.equal(stream.state.name, "polling");
  assert.deepEqual(
    log.asked.slice(0, 5).map(({ headers }) => headers.Authorization.slice(7)),
    ["one", "one", "two", "two", "three"],
  );
});

test("what the stream was asked for, polls keep to", async () => {
  const log = new Log();
  const { times, last } = await hang(log);
  last().answer({ status: 503, detail: "busy", retryAfter: 70_000 });
  await seconds(69);
  assert.deepEqual(times, { legs: [0], polls: [] });
  await seconds(2);
  assert.deepEqual(times.legs, [0, 70]);
  assert.equal(times.polls.length, 1);
});
