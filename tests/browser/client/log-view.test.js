import assert from "node:assert/strict";
import { test } from "node:test";

import { plain } from "../../../public/log/ansi.js";
import { Heights } from "../../../public/log/heights.js";
import { LogLines } from "../../../public/log/lines.js";
import { hashOf, linesOf, linesTyped } from "../../../public/log/links.js";
import { Listing } from "../../../public/log/listing.js";
import { Search } from "../../../public/log/search.js";
import { timeLabel } from "../../../public/log/times.js";

const all = () => true;

/** A log of lines on the standard output. */
function log(...texts) {
  const lines = new LogLines();
  for (const text of texts) lines.add("stdout", text, false);
  return lines;
}

test("heights add up as a plain list of them does", () => {
  const heights = new Heights();
  const plainly = [];
  let chance = 7;
  const random = (below) => (chance = (chance * 48_271) % 2_147_483_647) % below;
  const top = (index) => plainly.slice(0, index).reduce((sum, height) => sum + height, 0);
  for (let step = 0; step < 2000; step += 1) {
    const what = random(10);
    if (what < 6 || plainly.length === 0) {
      const height = 1 + random(50);
      heights.push(height);
      plainly.push(height);
    } else if (what < 9) {
      const index = random(plainly.length);
      heights.set(index, (plainly[index] = 1 + random(50)));
    } else {
      const count = random(Math.min(plainly.length, 20));
      heights.shift(count);
      plainly.splice(0, count);
    }
    const index = random(plainly.length || 1);
    assert.equal(heights.length, plainly.length);
    assert.equal(heights.top(index), top(index));
    assert.equal(heights.total, top(plainly.length));
    if (plainly.length) {
      assert.equal(heights.at(top(index)), index);
      assert.equal(heights.at(top(index + 1) - 1), index);
      assert.equal(heights.at(heights.total + 100), plainly.length - 1);
    }
  }
  assert.equal(new Heights().at(10), 0);
  assert.equal(new Heights().total, 0);
});

test("a listing estimates what is wrapped by what is seen of it", () => {
  const lines = log("short", "x".repeat(25), `\x1b[31m${"y".repeat(10)}\x1b[0m`);
  const listing = new Listing(lines, false, 20, 10);
  listing.update();
  assert.deepEqual([0, 1, 2].map((index) => listing.heights.get(index)), [20, 60, 20]);
});

test("a listing forgets with its log, and finds rows by their serials", () => {
  const lines = new LogLines(100);
  const listing = new Listing(lines, false, 20, Infinity);
  for (let number = 1; number <= 12_000; number += 1) {
    lines.add(number % 3 ? "stdout" : "stderr", `${number}`, false);
    if (number % 700 === 0) listing.update();
  }
  listing.update();
  assert.deepEqual(listing.rows, lines.rows);
  assert.equal(listing.heights.total, lines.rows.length * 20);
  assert.equal(listing.indexOf(lines.dropped + 5), 5);
  const errors = new Listing(lines, true, 20, Infinity);
  errors.update();
  assert.ok(errors.rows.length > 0 && errors.rows.every(({ kind }) => kind === "stderr"));
});

test("a text is found whatever its case, its colours and its signs", () => {
  const lines = log("a (b) C", "\x1b[1mA (\x1b[31mb) c\x1b[0m", "a b c", "x\ta (b) c");
  const search = new Search();
  search.begin("A (B) c");
  search.update(lines, all);
  assert.deepEqual(search.found, [0, 1, 3]);
  search.begin("");
  search.update(lines, all);
  assert.deepEqual([search.pattern, search.found], [null, []]);
});

test("a text is found across the end of a row", () => {
  const lines = log(`${"x".repeat(4093)}needle${"y".repeat(100)}`, "needles");
  const search = new Search();
  search.begin("needle");
  search.update(lines, all);
  assert.deepEqual(search.found, [0, 2]);
});

test("a search goes on with what comes, and with what changes", () => {
  const lines = log("one match");
  lines.add("stdout", "mat", true);
  lines.add("stderr", "match too", false);
  const search = new Search();
  search.begin("match");
  search.update(lines, all);
  assert.deepEqual(search.found, [0, 2]);
  lines.add("stdout", "ch at last", false);
  search.update(lines, all);
  assert.deepEqual(search.found, [0, 1, 2]);
  lines.add("stdout", "\rmatch", true);
  search.update(lines, all);
  lines.add("stdout", "\rnothing", true);
  search.update(lines, all);
  assert.deepEqual(search.found, [0, 1, 2]);
});

test("what is forgotten is no longer found", () => {
  const lines = new LogLines(100);
  const search = new Search();
  search.begin("7");
  for (let number = 0; number < 6000; number += 1) {
    lines.add("stdout", `${number}`, false);
    if (number % 50 === 0) search.update(lines, all);
  }
  search.update(lines, all);
  const kept = lines.rows.filter(({ text }) => text.includes("7")).map(({ serial }) => serial);
  assert.deepEqual(search.found, kept);
});

test("the way through what was found goes round", () => {
  const lines = log("a", "b", "a", "b", "a");
  const search = new Search();
  search.begin("a");
  search.update(lines, all);
  assert.equal(search.beside(-1, 1), 0);
  assert.equal(search.beside(0, 1), 2);
  assert.equal(search.beside(4, 1), 0);
  assert.equal(search.beside(0, -1), 4);
  assert.equal(search.beside(3, -1), 2);
  search.begin("c");
  assert.equal(search.beside(0, 1), undefined);
});

test("lines are named by addresses", () => {
  assert.deepEqual(linesOf("#L120"), { from: 120, to: 120 });
  assert.deepEqual(linesOf("#L120-L130"), { from: 120, to: 130 });
  assert.deepEqual(linesOf("#L130-L120"), { from: 120, to: 130 });
  for (const none of ["", "#", "#L", "#L1-", "#L1x", "#M1", "#L1-L2-L3"]) {
    assert.equal(linesOf(none), null);
  }
  assert.equal(hashOf({ from: 3, to: 3 }), "#L3");
  assert.equal(hashOf({ from: 3, to: 8 }), "#L3-L8");
  assert.deepEqual(linesTyped(": 12-14"), { from: 12, to: 14 });
  assert.equal(linesTyped("12"), null);
});

test("times are as their reader wants them", () => {
  const began = new Date(2026, 10, 21, 9, 5, 7, 45).getTime();
  assert.equal(timeLabel("off", began, began), "");
  assert.equal(timeLabel("absolute", null, began), "");
  assert.equal(timeLabel("absolute", began, null), "09:05:07.045");
  assert.equal(timeLabel("relative", began, began), "+0:00.000");
  assert.equal(timeLabel("relative", began + 83_456, began), "+1:23.456");
  assert.equal(timeLabel("relative", began + 3_723_004, began), "+1:02:03.004");
  assert.equal(timeLabel("relative", began - 1500, began), "-0:01.500");
});

test("what is there to be read is without sequences and controls", () => {
  assert.equal(plain("\x1b[1;31mred\x1b[0m \x1b]0;title\x07and \x1b[2Kplain\x07\r"), "red and plain");
  assert.equal(plain("\x1b[38:2::255:140:0mcolons\x1b[m\tstay"), "colons\tstay");
  assert.equal(plain("\x1b(Bset \x1b"), "set ");
});
