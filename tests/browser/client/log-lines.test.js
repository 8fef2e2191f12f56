import assert from "node:assert/strict";
import { test } from "node:test";

import { stateAfter } from "../../../public/log/ansi.js";
import { LogLines } from "../../../public/log/lines.js";

/** A log of pieces, given as [channel, text, open]. */
function lines(...pieces) {
  const log = new LogLines();
  for (const [channel, text, open = false] of pieces) log.add(channel, text, open);
  return log;
}
const shown = (log) =>
  log.rows.map(({ number, continued, text }) => `${continued ? "+" : (number ?? "-")} ${text}`);

test("a line is a row", () => {
  assert.deepEqual(shown(lines(["stdout", "a"], ["stderr", "b"], ["stdout", ""])), [
    "1 a",
    "2 b",
    "3 ",
  ]);
});

test("an open piece is continued by the next of its channel, whatever came between", () => {
  const log = lines(["stdout", "na", true], ["stderr", "warning"], ["stdout", "me? ", true]);
  assert.deepEqual(shown(log), ["1 name? ", "2 warning"]);
  log.add("stdout", "yes", false);
  log.add("stdout", "next", false);
  assert.deepEqual(shown(log), ["1 name? yes", "2 warning", "3 next"]);
});

test("a changed row says so", () => {
  const log = lines(["stdout", "a", true]);
  const { version } = log.rows[0];
  log.add("stdout", "b", false);
  assert.notEqual(log.rows[0].version, version);
});

test("a carriage return replaces what stood before it", () => {
  assert.deepEqual(shown(lines(["stdout", "10%\r50%\r100%"])), ["1 100%"]);
  assert.deepEqual(shown(lines(["stdout", "10%", true], ["stdout", "\r99%"])), ["1 99%"]);
});

test("a return at the end replaces nothing until more comes", () => {
  const log = lines(["stdout", "10%\r", true]);
  assert.deepEqual(shown(log), ["1 10%\r"]);
  log.add("stdout", "20%\r", true);
  assert.deepEqual(shown(log), ["1 20%\r"]);
});

test("a long progress line does not grow", () => {
  const log = new LogLines();
  for (let step = 0; step < 10_000; step += 1) log.add("stdout", `\rstep ${step}`, true);
  assert.deepEqual(shown(log), ["1 step 9999"]);
  const once = Array.from({ length: 10_000 }, (_, step) => `step ${step}`).join("\r");
  assert.deepEqual(shown(lines(["stdout", once])), ["1 step 9999"]);
});

test("a very long line goes on in more rows, and nothing of it is lost", () => {
  const text = "0123456789".repeat(3000);
  const log = lines(["stdout", text.slice(0, 16_000), true], ["stdout", text.slice(16_000)]);
  assert.deepEqual(log.rows.map(({ number }) => number).slice(0, 3), [1, 1, 1]);
  assert.deepEqual(log.rows.map(({ continued }) => continued).slice(0, 3), [false, true, true]);
  assert.equal(log.rows.map((row) => row.text).join(""), text);
  assert.ok(log.rows.every((row) => row.text.length <= 4096));
  log.add("stdout", "next", false);
  assert.equal(log.rows.at(-1).number, 2);
});

test("no character is cut in two by the end of a row", () => {
  const text = "x" + "😀".repeat(5000);
  const log = lines(["stdout", text]);
  assert.ok(log.rows.every((row) => row.text.isWellFormed()));
  assert.equal(log.rows.map((row) => row.text).join(""), text);
});

test("colours last beyond their line, for each channel, until they are reset", () => {
  const log = lines(
    ["stdout", "\x1b[31mred"],
    ["stderr", "plain"],
    ["stdout", "still\x1b[0m"],
    ["stdout", "plain"],
  );
  assert.deepEqual(log.rows.map(({ state }) => state), ["", "", "\x1b[31m", ""]);
});

test("colours set before a carriage return hold after it", () => {
  assert.equal(lines(["stdout", "\x1b[32m10%\r20%"]).rows[0].state, "\x1b[32m");
});

test("what colours are in force", () => {
  assert.equal(stateAfter("", "\x1b[1m \x1b[31m"), "\x1b[1m\x1b[31m");
  assert.equal(stateAfter("\x1b[1m", "\x1b[m"), "");
  assert.equal(stateAfter("\x1b[1m", "\x1b[0;32m"), "\x1b[0;32m");
  assert.equal(stateAfter("\x1b[1m", "\x1b[2K"), "\x1b[1m");
  assert.ok(stateAfter("", "\x1b[38;5;200m".repeat(1000)).length <= 256);
});

test("the oldest rows are forgotten, and counted", () => {
  const log = new LogLines();
  for (let number = 1; number <= 105_000; number += 1) log.add("stdout", `${number}`, false);
  assert.equal(log.rows.length + log.dropped, 105_000);
  assert.equal(log.dropped, 5000);
  assert.equal(log.count, 105_000);
  assert.equal(log.rows[0].text, "5001");
  assert.equal(log.rows.at(-1).text, "105000");
});

test("notes stand between the lines and are not numbered", () => {
  const log = lines(["stdout", "a"]);
  log.note("gap", "something is missing");
  log.add("stdout", "b", false);
  assert.deepEqual(shown(log), ["1 a", "- something is missing", "2 b"]);
});

test("rows are known by their serials, also when others are forgotten", () => {
  const log = new LogLines(100);
  for (let number = 1; number <= 5100; number += 1) log.add("stdout", `${number}`, false);
  assert.equal(log.dropped, 5000);
  assert.equal(log.end, 5100);
  assert.deepEqual([log.rows[0].serial, log.rows[0].number], [5000, 5001]);
  assert.equal(log.row(5001).text, "5001");
  assert.equal(log.row(1), undefined);
});

test("rows are forgotten for their length too", () => {
  const log = new LogLines(100_000, 1000);
  for (let number = 1; number <= 100; number += 1) log.add("stdout", "x".repeat(100), false);
  assert.ok(log.rows.length <= 11);
  assert.equal(log.rows.length + log.dropped, 100);
  // A progress line is as long as it is shown, however much of it was written.
  const progress = new LogLines(100_000, 1000);
  progress.add("stdout", "first", false);
  for (let step = 0; step < 1000; step += 1) progress.add("stdout", `\rstep ${step}`, true);
  progress.add("stderr", "last", false);
  assert.deepEqual(shown(progress), ["1 first", "2 step 999", "3 last"]);
});

test("errors are counted by the line", () => {
  const log = lines(["stdout", "a"], ["stderr", "b".repeat(5000)]);
  log.add("error", "c", false);
  log.add("warning", "d", false);
  log.note("failure", "it is gone");
  log.note("gap", "something is missing");
  assert.equal(log.errors, 3);
});

test("a line has the time of its beginning, and a log that of its first", () => {
  const log = new LogLines();
  log.note("note", "what the page says");
  log.add("stdout", "na", true, 5000);
  log.add("stdout", "me", false, 6000);
  assert.equal(log.began, 5000);
  assert.equal(log.rows[1].time, 5000);
});

test("what may still change is told from what does not", () => {
  const log = lines(["stdout", "a"], ["stdout", "name? ", true], ["stderr", "b"]);
  assert.equal(log.settled, 1);
  log.add("stdout", "answered", false);
  assert.equal(log.settled, 3);
});
