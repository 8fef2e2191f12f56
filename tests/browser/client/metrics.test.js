import assert from "node:assert/strict";
import test from "node:test";

import { CARDS, CHARTS, grid } from "../../../public/metrics/history.js";
import { latency, NONE, percent, plain, when } from "../../../public/metrics/numbers.js";

test("what is not known is a dash, and zero is zero", () => {
  for (const said of [plain, latency, percent]) {
    assert.equal(said(null), NONE);
    assert.equal(said(undefined), NONE);
    assert.notEqual(said(0), NONE);
  }
  assert.equal(plain(0), "0");
  assert.equal(percent(0), "0 %");
});

test("numbers have as many digits as anybody reads", () => {
  assert.deepEqual([0.1234, 12.34, 123.4, 12_345, 7].map(plain), ["0.12", "12.3", "123", "12,345", "7"]);
  assert.deepEqual([0.43, 42.4, 1234, 90_000].map(latency), ["0.4 ms", "42 ms", "1.2 s", "1.5 min"]);
  assert.deepEqual([0.004, 0.256, 1].map(percent), ["<1 %", "26 %", "100 %"]);
});

test("times have their day where there are several", () => {
  const time = new Date(2026, 10, 21, 9, 5).getTime();
  assert.equal(when(time, false), "09:05");
  assert.equal(when(time, true), "11-21 09:05");
});

/** @param {number} time @param {number} connections */
function point(time, connections) {
  const none = { p50: null, p95: null };
  const zero = { opened: 0, planned: 0, left: 0, reconnects: 0, published: 0, delivered: 0 };
  return { ...none, ...zero, time, connections, commands: null, stream: none, polling: none };
}

test("a line has a gap where nothing was told", () => {
  const lines = [{ name: "Open", of: (/** @type {any} */ rates) => rates.connections }];
  const history = /** @type {any} */ ({
    from: 600_000,
    to: 900_000,
    step: 60,
    points: [point(600_000, 3), point(780_000, 0), point(900_000, 9), point(0, 9)],
  });
  assert.deepEqual(grid(history, lines), {
    times: [600_000, 660_000, 720_000, 780_000, 840_000],
    values: [[3, null, null, 0, null]],
  });
  assert.deepEqual(grid({ ...history, points: [] }, lines).values, [Array(5).fill(null)]);
});

test("charts and cards say what they show", () => {
  assert.equal(new Set(CHARTS.map(({ id }) => id)).size, CHARTS.length);
  const rates = { ...point(0, 2.5), p50: 3.25 };
  assert.deepEqual(
    CARDS.slice(0, 3).map(({ of }) => of(rates)),
    ["2.5", "3.3 ms", NONE],
  );
});
