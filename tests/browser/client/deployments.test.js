import assert from "node:assert/strict";
import { test } from "node:test";

import { fromChooser } from "../../../public/deployments/files.js";
import { gitSource, hostOf } from "../../../public/deployments/git.js";
import { after, isOver, told, UNHEARD, write } from "../../../public/deployments/log.js";
import { StreamEvent } from "../../../public/lastevent/follower.js";
import { LogLines } from "../../../public/log/lines.js";

const event = (type, data) => new StreamEvent("1", type, JSON.stringify(data));
const line = (level, text, date) => event("log", { level, text, date, time: "00:00:00.000" });

test("a line is what its level says, and an error where it says so itself", () => {
  const lines = new LogLines();
  write(lines, line("info", "no error here", 1));
  write(lines, line("command", "npm run build", 2));
  write(lines, line("warning", "npm warn deprecated glob", 3));
  write(lines, line("warning", "Type error: there is none", 4));
  write(lines, line("error", "exit", 5));
  const kinds = ["stdout", "command", "warning", "error", "error"];
  assert.deepEqual(lines.rows.map(({ kind }) => kind), kinds);
  assert.equal(lines.errors, 2);
});

test("what is lost, and how it ended, is written down", () => {
  const lines = new LogLines();
  write(lines, event("upstream", { state: "lost", error: "503", time: 1000 }));
  write(lines, event("upstream", { state: "back", time: 2000 }));
  write(lines, event("failure", { error: "the log is gone", time: 3000 }));
  write(lines, event("state", { state: "building", url: null }));
  write(lines, event("state", { state: "error", url: null, error: "exited with 1", over: true }));
  const found = lines.rows.map(({ kind, text }) => `${kind} ${text.replace(/[\d:]{8}/, "TIME")}`);
  assert.deepEqual(found.map((text) => text.replace(/\d{4}-\d\d-\d\d /, "")), [
    "note Vercel does not answer since TIME; lines come when it does",
    "note Vercel answers again, TIME",
    "gap The log is gone.",
    "failure Failed: exited with 1.",
  ]);
});

test("a build is timed by its lines, from the first to its end", () => {
  let build = UNHEARD;
  for (const it of [
    event("state", { state: "building", url: "https://a.example" }),
    line("info", "one", 5000),
    event("progress", { percent: 45, text: "Building 45 %" }),
    line("info", "two", 9000),
    event("state", { state: "ready", url: "https://a.example" }),
    line("info", "cached", 12_000),
    event("state", { state: "ready", url: "https://a.example", over: true }),
  ]) {
    build = after(build, it);
  }
  assert.deepEqual([build.began, build.ended, build.last], [5000, 9000, 12_000]);
  assert.deepEqual([build.percent, build.progress, build.state], [45, "Building 45 %", "ready"]);
});

test("a state that was asked for earlier does not take one back", () => {
  const ready = told(UNHEARD, { state: "ready", url: null });
  assert.equal(isOver(ready), true);
  assert.equal(told(ready, { state: "building", url: null }).state, "ready");
});

test("what is no JSON is no harm", () => {
  const lines = new LogLines();
  write(lines, new StreamEvent("1", "log", "plain text"));
  assert.equal(lines.rows[0].text, "plain text");
});

test("the folder that all lay in is no part of the paths", () => {
  const file = (path) => Object.assign(new File(["x"], "x"), { webkitRelativePath: path });
  const paths = (chosen) => chosen.files.map(({ path }) => path);
  const site = ["site/index.html", "site/a/b.css", "site/.git/HEAD"];
  const inside = fromChooser(site.map(file));
  assert.deepEqual([inside.root, inside.leftOut], ["site", 1]);
  assert.deepEqual(paths(inside), ["index.html", "a/b.css"]);
  const apart = ["a/index.html", "b/index.html", "robots.txt"];
  const beside = fromChooser(apart.map(file));
  assert.deepEqual([beside.root, paths(beside)], ["", apart]);
  for (const out of ["node_modules/x.js", "a/.DS_Store", ".env.local", ".env.production.local"]) {
    assert.equal(fromChooser([file(out)]).leftOut, 1, out);
  }
  for (const kept of [".env", "gitignore.md", "my_node_modules/x.js", ".well-known/x"]) {
    assert.equal(fromChooser([file(kept)]).leftOut, 0, kept);
  }
});

test("a git source is written as its host has it", () => {
  const github = { type: "github", org: "acme", repo: "site", ref: "main" };
  assert.deepEqual(gitSource("github", "acme/site", "main"), github);
  assert.deepEqual(gitSource("github", " https://github.com/acme/site.git/ ", "main"), github);
  const gitlab = { type: "gitlab", projectId: "42", ref: "v1" };
  assert.deepEqual(gitSource("gitlab", "42", "v1"), gitlab);
  const bitbucket = { type: "bitbucket", owner: "acme", slug: "site", ref: "main" };
  assert.deepEqual(gitSource("bitbucket", "acme/site", "main"), bitbucket);
  assert.throws(() => gitSource("github", "acme", "main"), /owner\/repository/);
  assert.throws(() => gitSource("gitlab", "acme/site", "main"), /a number/);
  assert.equal(hostOf("https://bitbucket.org/acme/site"), "bitbucket");
  assert.equal(hostOf("acme/site"), undefined);
});
