import assert from "node:assert/strict";
import { test } from "node:test";

import { ago, clockTime, duration, plural } from "../../../public/site/format.js";

test("counts", () => {
  assert.deepEqual(
    [0, 1, 50_000].map((count) => plural(count, "line")),
    ["0 lines", "1 line", "50,000 lines"],
  );
});

test("durations", () => {
  assert.deepEqual(
    [0, 9.94, 10, 59.4, 59.6, 60, 3599, 3600, 90_061].map(duration),
    ["0.0 s", "9.9 s", "10 s", "59 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "25 h 1 min"],
  );
});

test("times of today have no date", () => {
  assert.match(clockTime(Date.now()), /^\d\d:\d\d:\d\d$/);
  assert.match(clockTime(0), /^19\d\d-\d\d-\d\d \d\d:\d\d:\d\d$/);
});

test("how long ago is said in one unit", () => {
  const now = 1_000_000_000_000;
  const said = [0, 1.9, 2, 59, 60, 150, 7200, 47 * 3600, 72 * 3600, -5].map((seconds) =>
    ago(now - seconds * 1000, now),
  );
  assert.deepEqual(said, [
    ...["just now", "just now", "2 s ago", "59 s ago", "1 min ago", "2 min ago", "2 h ago"],
    ...["47 h ago", "3 days ago", "just now"],
  ]);
});
