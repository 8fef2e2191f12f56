import assert from "node:assert/strict";
import { test } from "node:test";

import { backOff, Follower } from "../../../public/lastevent/follower.js";
import { at, beat, control, event, open, rotate } from "./wire.js";

/** A follower that has taken `messages` in a leg of 5 s, and what it passed on. */
function follow(messages, { cursor = null, attempts = 10, from = null } = {}) {
  const follower = from ?? new Follower(cursor, 15_000, attempts);
  follower.begin(0);
  const passed = messages.map((message) => follower.take(message)).filter((taken) => taken);
  return { follower, passed, events: passed.flatMap(({ event }) => (event ? [event.id] : [])) };
}

test("an event that lies behind the position is dropped and counted", () => {
  const { follower, events } = follow([event(3), event(2), event(3), event(4)], { cursor: at(2) });
  assert.deepEqual(events, [at(3), at(4)]);
  assert.equal(follower.repeated, 2);
  assert.equal(follower.position, at(4));
});

test("an event of a later generation is new, whatever its sequence", () => {
  const later = "019b00000000";
  const { events } = follow([event(9), { ...event(1), id: at(1, later) }]);
  assert.deepEqual(events, [at(9), at(1, later)]);
});

test("of several streams the part that moved decides", () => {
  const part = (hash, sequence) => hash.repeat(8) + at(sequence);
  const vector = (moved, other) => ({ ...event(1), id: `~${moved}.${other}` });
  const { events } = follow([
    vector(part("a", 1), part("b", 0)),
    vector(part("b", 1), part("a", 1)),
    vector(part("a", 1), part("b", 1)), // again
    vector(part("c", 1), part("a", 1)), // of a stream that was not there before
  ]);
  assert.deepEqual(
    events.map((id) => id.slice(0, 2)),
    ["~a", "~b", "~c"],
  );
});

test("of a foreign server's ids only the one that a leg was resumed from counts as repeated", () => {
  const foreign = (id) => ({ id, type: "note", data: "" });
  const first = follow([foreign("b")]);
  assert.deepEqual(first.events, ["b"]);
  const { events } = follow([foreign("b"), foreign("a"), foreign("b")], { from: first.follower });
  assert.deepEqual(events, ["a", "b"]);
});

test("an event without an id is passed on and does not move the position", () => {
  const { follower, events } = follow([{ ...event(1), id: undefined }], { cursor: at(1) });
  assert.deepEqual(events, [""]);
  assert.equal(follower.position, at(1));
});

test("open gives a position to who has none, and moves nobody who has one", () => {
  assert.equal(follow([open(5)]).follower.position, at(5));
  assert.equal(follow([open(5)], { cursor: at(3) }).follower.position, at(3));
});

test("open names the heartbeat, for its own leg", () => {
  const { follower } = follow([open(0, { heartbeat: 2 })]);
  assert.equal(follower.heartbeat, 2000);
  follower.begin(0);
  assert.equal(follower.heartbeat, 15_000);
});

test("open names the hold of whole answers, for the legs to come", () => {
  const { follower } = follow([open(0, { ends_in: 22.5, buffered: true })]);
  follower.begin(0);
  assert.equal(follower.hold, 22_500);
  follower.take(open(0, { ends_in: 50 }));
  assert.equal(follower.hold, 0);
});

test("a checkpoint moves the position, and never back", () => {
  assert.equal(follow([control("live", at(7))], { cursor: at(3) }).follower.position, at(7));
  assert.equal(follow([control("live", at(1))], { cursor: at(3) }).follower.position, at(3));
});

test("a reset says what is lost and goes where the server goes on, back too", () => {
  const lost = control("reset", at(2), { from: at(9), to: at(2) });
  const { follower, passed, events } = follow([lost, event(3)], { cursor: at(9) });
  assert.deepEqual(passed[0], { reset: { from: at(9), to: at(2) } });
  assert.deepEqual(events, [at(3)]);
  assert.equal(follower.position, at(3));
});

test("a control event that is no JSON object is passed over", () => {
  for (const data of ["", "[", "null", "7", '{"state":5}']) {
    assert.deepEqual(follow([{ id: undefined, type: "stream", data }]).passed, []);
  }
});

test("a planned end is obeyed to the millisecond and is no failure", () => {
  for (const retry of [0, 29, 57, 1001, 30_000]) {
    const { follower } = follow([event(1), rotate(1, retry)]);
    follower.failures = 4;
    assert.equal(follower.pause(5000, 0.5), retry);
    assert.equal(follower.failures, 0);
  }
});

test("planned ends at the door slow down after three, and only if nothing was read", () => {
  const { follower } = follow([open(0)]);
  const pauses = [1, 2, 3, 4].map(() => {
    follow([open(0), rotate(0, 20)], { from: follower });
    return follower.pause(50, 0.5);
  });
  assert.deepEqual(pauses, [20, 20, 1000, 1000]);
  for (let sequence = 1; sequence < 6; sequence += 1) {
    follow([event(sequence), rotate(sequence, 20)], { from: follower });
    assert.equal(follower.pause(50, 0.5), 20);
  }
});

test("what counts as a failure, and what takes the count back", () => {
  const after = (messages) => {
    const { follower } = follow(messages, { cursor: at(0) });
    follower.failures = 3;
    follower.pause(5000, 0.5);
    return follower.failures;
  };
  assert.equal(after([]), 4);
  assert.equal(after([open(0)]), 4, "a leg that only opened proves nothing");
  assert.equal(after([open(0), control("live", at(0))]), 4, "nor does standing still");
  assert.equal(after([open(0), beat]), 3);
  assert.equal(after([open(0), event(1)]), 1);
  assert.equal(after([open(0), control("live", at(1))]), 1);
  assert.equal(after([open(0), rotate(0)]), 0);
  assert.equal(after([control("error", undefined, { retry_ms: 10 })]), 4);
});

test("trouble and refusals wait at least as long as the server asks", () => {
  const trouble = follow([control("error", undefined, { retry_ms: 2500 })]).follower;
  assert.equal(trouble.pause(0, 0), 2500);
  assert.equal(follow([]).follower.pause(0, 0, 7000), 7000);
  assert.equal(follow([]).follower.pause(0, 0, 1e9), 3_600_000, "but not for days");
});

test("it gives up after as many attempts as allowed", () => {
  const { follower } = follow([], { attempts: 2 });
  const pauses = [1, 2, 3].map(() => {
    follower.begin(0);
    return follower.pause(0, 0.5);
  });
  assert.deepEqual(pauses, [500, 1000, null]);
});

test("the back-off doubles from 1 s to 30 s, drawn from zero on", () => {
  const longest = [1, 2, 3, 4, 5, 6, 7, 1000].map((failures) => backOff(failures, 1));
  assert.deepEqual(longest, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  assert.equal(backOff(5, 0), 0);
});

test("the gentle back-off doubles from 3 s to 60 s", () => {
  const longest = [1, 2, 3, 5, 6, 1000].map((failures) => backOff(failures, 1, "gentle"));
  assert.deepEqual(longest, [3000, 6000, 12_000, 48_000, 60_000, 60_000]);
  const follower = new Follower(null, 15_000, 10, "gentle");
  follower.begin(0);
  assert.equal(follower.pause(0, 0.5), 1500);
});
