import assert from "node:assert/strict";
import { test } from "node:test";

import { current, fromEvent, fromSnapshot, isOver, join } from "../../../public/workflows/orders.js";

const NAMES = ["read", "save", "ship"];
const TRIALS = 300;

/** Numbers in [0, 1) that are the same for the same seed. */
function chances(seed) {
  let state = seed + 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * An order as a server works on it, until it is completed: what it tells, and how it describes it
 * after each event.
 */
function worked(chance) {
  const stages = NAMES.map((name) => ({
    ...{ name, status: "pending", progress: 0, message: null, error: null },
    ...{ startedAt: null, endedAt: null, result: {} },
  }));
  const order = {
    ...{ id: "po_1", name: "order.csv", state: "waiting", round: 1, progress: 0, stages },
    ...{ cancelling: false, error: null, createdAt: 1, startedAt: null, endedAt: null },
    ...{ againAt: null, results: {} },
  };
  const events = [];
  const snapshots = [structuredClone(order)];
  let time = 1;

  function tell(type, stage, fields) {
    const named = { poId: order.id, workflowId: "wf_1", stage: stage.name };
    events.push({ type, fields: { ...named, ...fields, round: order.round, time } });
    snapshots.push(structuredClone(order));
  }
  function whole() {
    const done = stages.map(({ status, progress }) =>
      ["completed", "skipped"].includes(status) ? 100 : progress,
    );
    order.progress = Math.floor(done.reduce((sum, one) => sum + one) / stages.length);
  }
  function state(stage, status) {
    const { progress, message } = stage;
    whole();
    return { progress: order.progress, stageProgress: progress, ...(message && { message }), status };
  }
  function end(status) {
    Object.assign(order, { state: status, endedAt: time });
    const { progress } = order;
    return { status, progress, over: true };
  }

  for (const stage of stages) {
    for (;;) {
      time += 1;
      order.startedAt ??= time;
      Object.assign(order, { state: "running" });
      Object.assign(stage, { status: "running", startedAt: time, endedAt: null, error: null });
      tell("stage", stage, state(stage, "started"));
      while (chance() < 0.7) {
        time += 1;
        stage.progress = Math.min(100, stage.progress + Math.floor(chance() * 30));
        stage.message = `at ${time}`;
        tell("progress", stage, state(stage, "started"));
      }
      time += 1;
      stage.endedAt = time;
      if (chance() < 0.3) {
        Object.assign(stage, { status: "failed", error: `no ${time}` });
        tell("stage", stage, { ...state(stage, "failed"), message: stage.error });
        order.error = stage.error;
        tell("failure", stage, { error: stage.error, ...end(chance() < 0.5 ? "failed" : "cancelled") });
        time += 1;
        order.round += 1;
        Object.assign(order, { state: "waiting", endedAt: null, error: null });
        Object.assign(stage, { status: "pending", error: null, message: null });
        continue;
      }
      if (chance() < 0.3) {
        Object.assign(stage, { status: "skipped", message: "nothing to do" });
        tell("stage", stage, state(stage, "skipped"));
        break;
      }
      Object.assign(stage, { status: "completed", progress: 100, result: { [stage.name]: time } });
      Object.assign(order.results, stage.result);
      tell("stage", stage, state(stage, "completed"));
      tell("completion", stage, stage.result);
      break;
    }
  }
  whole();
  tell("completion", stages.at(-1), { ...order.results, ...end("completed") });
  return { events, snapshots };
}

/** What a page shows of an order, and may not go back. */
function place({ round, state, progress }) {
  return [round, Number(isOver({ state })), progress];
}

function isBefore(one, other) {
  const [round, over, progress] = one.map((part, n) => part - other[n]);
  return (round || over) < 0 || progress < 0;
}

/** Times are told by whoever is first; all else has to be the same. */
function essence({ id, name, state, round, progress, cancelling, error, endedAt, results, stages }) {
  const parts = stages.map((stage) => {
    const { name, status, progress, message, error, endedAt, result } = stage;
    return { name, status, progress, message, error, endedAt, result };
  });
  return { id, name, state, round, progress, cancelling, error, endedAt, results, parts };
}

class Page {
  known = undefined;

  take(fact) {
    const before = this.known;
    this.known = join(before, fact);
    if (before) {
      assert.ok(!isBefore(place(this.known), place(before)), "it went back");
      for (const stage of before.stages) {
        const after = this.known.stages.find(({ name }) => name === stage.name);
        assert.ok(after && after.progress >= stage.progress, "a stage went back");
      }
    }
  }

  hear({ type, fields }) {
    const fact = fromEvent(type, fields, this.known);
    if (fact) this.take(fact);
  }
}

test("who joins at any time, from any cursor before, with late answers in between, is right", () => {
  for (let seed = 0; seed < TRIALS; seed += 1) {
    const chance = chances(seed);
    const { events, snapshots } = worked(chance);
    const upTo = (n) => Math.floor(chance() * (n + 1));
    const seen = upTo(events.length);
    const page = new Page();
    page.take(fromSnapshot(snapshots[seen]));
    for (let at = upTo(seen); at < events.length; at += 1) {
      if (chance() < 0.2) page.take(fromSnapshot(snapshots[upTo(events.length)]));
      page.hear(events[at]);
      if (chance() < 0.2) page.hear(events[upTo(at)]);
    }
    assert.deepEqual(essence(page.known), essence(fromSnapshot(snapshots.at(-1))), `seed ${seed}`);
  }
});

test("in whatever order all of it comes, it ends the same", () => {
  for (let seed = 0; seed < TRIALS; seed += 1) {
    const chance = chances(seed);
    const { events, snapshots } = worked(chance);
    const told = [...events, ...events.filter(() => chance() < 0.3), snapshots[0], snapshots.at(-1)];
    for (let at = told.length - 1; at > 0; at -= 1) {
      const other = Math.floor(chance() * (at + 1));
      [told[at], told[other]] = [told[other], told[at]];
    }
    const page = new Page();
    for (const one of told) {
      if ("fields" in one) page.hear(one);
      else page.take(fromSnapshot(one));
    }
    const { state, round, progress, parts } = essence(page.known);
    const end = essence(fromSnapshot(snapshots.at(-1)));
    assert.deepEqual([state, round, progress], [end.state, end.round, end.progress], `seed ${seed}`);
    const statuses = (all) => all.map(({ name, status, progress }) => [name, status, progress]);
    assert.deepEqual(statuses(parts), statuses(end.parts), `seed ${seed}`);
  }
});

test("events alone say how an order is, without its name", () => {
  const { events, snapshots } = worked(chances(7));
  const page = new Page();
  for (const event of events) page.hear(event);
  const { name, ...rest } = essence(page.known);
  const { name: real, ...end } = essence(fromSnapshot(snapshots.at(-1)));
  assert.deepEqual([name, real], ["", "order.csv"]);
  assert.deepEqual(rest, end);
  assert.equal(page.known.isListed, false);
});

test("words that come at the same percentage are the later event's, and no late answer's", () => {
  const { snapshots } = worked(() => 0.9);
  const begun = fromSnapshot(snapshots[1]);
  const said = (message) =>
    fromEvent(
      "progress",
      { poId: "po_1", stage: "read", progress: 0, stageProgress: 0, message, round: 1, time: 5 },
      begun,
    );
  const told = join(join(begun, said("one")), said("two"));
  assert.equal(current(told).message, "two");
  const late = structuredClone(snapshots[1]);
  late.stages[0].message = "zero";
  assert.equal(current(join(told, fromSnapshot(late))).message, "two");
});

test("what others publish needs no round, and may go on after it failed", () => {
  const page = new Page();
  const named = { poId: "po_9", workflowId: "w", stage: "import" };
  page.hear({ type: "progress", fields: { ...named, progress: 60, message: "Saved 5 line items" } });
  page.hear({ type: "failure", fields: { ...named, error: "Database connection timeout" } });
  assert.deepEqual([page.known.state, page.known.progress], ["failed", 60]);
  assert.equal(current(page.known).error, "Database connection timeout");
  page.hear({ type: "stage", fields: { ...named, status: "started" } });
  assert.deepEqual([page.known.state, page.known.round, page.known.error], ["running", 2, ""]);
  page.hear({ type: "completion", fields: { ...named, lineItems: 5, confidence: 95 } });
  assert.deepEqual(page.known.results, { lineItems: 5, confidence: 95 });
});

test("what is no event of an order says nothing", () => {
  assert.equal(fromEvent("progress", {}, undefined), null);
  assert.equal(fromEvent("progress", { poId: 7 }, undefined), null);
  assert.equal(fromEvent("note", { poId: "po_1" }, undefined), null);
  const { progress } = fromEvent("progress", { poId: "po_1", progress: 1e9 }, undefined);
  assert.equal(progress, 100);
  assert.equal(fromEvent("progress", { poId: "po_1", progress: "x" }, undefined).progress, 0);
});

test("a wish to cancel holds until the order is over, and not for the next round", () => {
  const { snapshots } = worked(() => 0.9);
  const begun = fromSnapshot(snapshots[1]);
  const wished = join(begun, fromSnapshot({ ...snapshots[1], cancelling: true }));
  assert.equal(join(wished, begun).cancelling, true);
  const again = fromSnapshot({ ...snapshots[1], round: 2, state: "waiting" });
  assert.equal(join(wished, again).cancelling, false);
});
