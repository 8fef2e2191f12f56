/** A process's log as the hook shows it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { lost, NO_LOG, written } from "../../../public/lastevent/react/lines.js";

const event = (type, fields) => ({ type, data: JSON.stringify(fields) });
const out = (text, open) => event("stdout", { text, time: 1, ...(open && { open }) });
const err = (text, open) => event("stderr", { text, time: 2, ...(open && { open }) });
const texts = ({ lines }) => lines.map(({ kind, text }) => `${kind} ${text}`);

test("pieces of a line are one line, of each channel by itself, over renders too", () => {
  let log = written(NO_LOG, [out("a", true), err("b", true), out("c", true)]);
  assert.deepEqual(texts(log), ["stdout ac", "stderr b"]);
  log = written(log, [out("d"), out("e"), err("f")]);
  assert.deepEqual(texts(log), ["stdout acd", "stderr bf", "stdout e"]);
  assert.deepEqual(log.lines.map(({ key }) => key), [0, 1, 2]);
});

test("a line that changes is another one, and those before stay what they are", () => {
  const before = written(NO_LOG, [out("a"), out("b", true)]);
  const after = written(before, [out("c")]);
  assert.equal(before.lines[1].text, "b");
  assert.equal(after.lines[0], before.lines[0]);
});

test("the newest lines are kept, and a piece of one that is gone begins another", () => {
  let log = written(NO_LOG, [out("a", true), err("1"), err("2"), err("3")], 2);
  assert.deepEqual(texts(log), ["stderr 2", "stderr 3"]);
  log = written(log, [out("b", true), out("c")], 2);
  assert.deepEqual(texts(log), ["stderr 3", "stdout bc"]);
  assert.deepEqual(written(log, [out("d")], 0).lines, []);
});

test("a line without an end goes on in another one", () => {
  const piece = "x".repeat(40_000);
  const log = written(NO_LOG, [out(piece, true), out(piece, true), out("end")]);
  assert.deepEqual(log.lines.map(({ text }) => text.length), [40_000, 40_003]);
});

test("how the process does", () => {
  let { run } = written(NO_LOG, [event("started", { time: 5, pid: 1 })]);
  assert.deepEqual([run.state, run.startedAt], ["running", 5]);
  ({ run } = written(NO_LOG, [event("exit", { code: 3, signal: null, time: 9 })]));
  assert.deepEqual([run.state, run.code, run.signal, run.endedAt], ["exited", 3, null, 9]);
  const failed = written(NO_LOG, [event("failure", { error: "no such command", time: 9 })]);
  assert.deepEqual([failed.run.state, failed.run.error], ["failed", "no such command"]);
  assert.deepEqual(texts(failed), ["failure no such command"]);
});

test("where events are lost a line says so, and no line goes on over it", () => {
  const log = written(lost(written(NO_LOG, [out("a", true)])), [out("b")]);
  assert.deepEqual(texts(log), ["stdout a", "gap ", "stdout b"]);
  assert.deepEqual(texts(written(log, [event("gap", {})])).at(-1), "gap ");
});

test("what is no JSON, or of no known type, is no line and no fault", () => {
  assert.deepEqual(texts(written(NO_LOG, [{ type: "stdout", data: "{" }])), ["stdout "]);
  assert.deepEqual(texts(written(NO_LOG, [{ type: "other", data: "x" }])), []);
});
