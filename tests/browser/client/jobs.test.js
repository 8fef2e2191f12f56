/** What a page knows of a job, by its events. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { after, isOver, UNHEARD } from "../../../public/lastevent/job.js";
import { brief, line, news, percent } from "../../../public/jobs/words.js";

/** @param {[string, Record<string, unknown>][]} events */
const told = (...events) => events.reduce((job, [type, fields]) => after(job, type, fields), UNHEARD);

test("an update renews what it says, and leaves the rest", () => {
  const job = told(
    ["progress", { progress: 10, status: "reading", message: "one", data: { processed: 1 } }],
    ["progress", { progress: 20 }],
    ["update", { type: "note", message: "two" }],
  );
  assert.deepEqual(
    { ...job },
    {
      ...UNHEARD,
      state: "running",
      progress: 20,
      status: "reading",
      message: "two",
      details: { processed: 1 },
    },
  );
});

test("each end is one, and says why", () => {
  const done = told(["progress", { progress: 40 }], ["done", { progress: 100, result: { made: 3 } }]);
  assert.equal(done.state, "done");
  assert.equal(done.progress, 100);
  assert.deepEqual(done.result, { made: 3 });
  assert.equal(news(done), "The job is done.");
  const failed = told(["progress", { progress: 40 }], ["failed", { progress: 40, error: "disk full" }]);
  assert.equal(failed.progress, 40);
  assert.equal(news(failed), "The job failed: disk full.");
  const refused = told(["failure", { error: "the external service refuses job 7" }]);
  assert.equal(news(refused), "The external service refuses job 7.");
  assert.ok([done, failed, refused].every(isOver));
  assert.equal(isOver(told(["progress", { progress: 100 }])), false);
});

test("the service is away until it is back, or until the end", () => {
  const lost = { state: "lost", error: "cut", time: 5 };
  const away = told(["progress", { progress: 40 }], ["upstream", lost]);
  assert.equal(away.lostAt, 5);
  assert.equal(away.progress, 40);
  assert.match(news(away), /is away since .* \(cut\)/);
  assert.equal(news(after(away, "upstream", { state: "back", time: 9 })), "");
  assert.equal(after(away, "failure", { error: "away for too long" }).lostAt, null);
  assert.equal(after(away, "gap", { from: 5, to: 9 }).gaps, 1);
});

test("what is of no known type, or of a wrong form, does no harm", () => {
  const job = told(["progress", { progress: 40, message: "one" }]);
  assert.equal(after(job, "news", { progress: 90 }), job);
  const odd = after(job, "progress", { progress: "90", message: { text: 1 }, status: null });
  assert.equal(odd.progress, 40);
  assert.equal(odd.message, "one");
  assert.equal(after(UNHEARD, "failed", {}).error, "");
});

test("percentages are whole, and never more than there are", () => {
  assert.deepEqual([0, 45.9, 99.99, 100, 130, -3].map(percent), ["0 %", "45 %", "99 %", "100 %", "100 %", "0 %"]);
  assert.equal(brief(UNHEARD), "Waiting");
  assert.equal(brief({ state: "running", progress: 45.9 }), "Running, 45 %");
});

test("each event is a line of its kind", () => {
  assert.deepEqual(line("progress", { progress: 5, status: "reading", message: "row 1" }), {
    kind: "stdout",
    text: "  5 %  reading  row 1",
  });
  assert.equal(line("update", { type: "note", message: "hello" }).text, "note: hello");
  assert.deepEqual(line("failed", { error: "disk full" }), {
    kind: "failure",
    text: "Failed: disk full.",
  });
  assert.equal(line("upstream", { state: "lost", error: "cut", time: 1 }).kind, "gap");
  assert.equal(line("upstream", { state: "back", time: 1 }).kind, "note");
  assert.match(line("gap", { from: 0, to: 60_000 }).text, /^What was said from .*:00 to .*:00 may be/);
  assert.match(line("gap", {}).text, /may be missing/);
});
