/** What stands between a stream and React, where no page shows it: no frames, or no browser. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { createElement } from "react";
import { renderToString } from "react-dom/server";

import { useStream } from "../../../public/lastevent/react.js";
import { Store } from "../../../public/lastevent/react/store.js";

const LIST = { initial: [], fold: (list, events) => [...list, ...events.map(({ data }) => data)] };

let store;
let legs;
let frames;
let renders;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  frames = [];
  globalThis.requestAnimationFrame = (show) => frames.push(show);
  globalThis.cancelAnimationFrame = (number) => delete frames[number - 1];
  legs = [];
  renders = 0;
  store = new Store(LIST);
  store.subscribe(() => (renders += 1));
  store.options = { transport };
});
afterEach(() => {
  store.pause();
  mock.timers.reset();
  delete globalThis.requestAnimationFrame;
  delete globalThis.cancelAnimationFrame;
});

function transport(leg) {
  legs.push(leg);
  return new Promise((_, reject) => (leg.signal.onabort = () => reject(leg.signal.reason)));
}

/** Follow, and wait for the leg. */
async function follow(identity = "s") {
  store.follow(identity, "http://stream.test/s");
  await new Promise(setImmediate);
}

function bring(...numbers) {
  for (const n of numbers) legs.at(-1).onMessage({ id: `${n}`, type: "note", data: `${n}` });
}

/** Have the browser paint. */
function paint() {
  for (const show of frames.splice(0)) show?.();
}

test("what comes between two frames is one render", async () => {
  await follow();
  bring(1, 2, 3);
  assert.deepEqual([store.get().value, renders], [[], 0]);
  paint();
  assert.deepEqual([store.get().value, renders], [["1", "2", "3"], 1]);
  assert.equal(store.get().cursor, "3");
  paint();
  assert.equal(renders, 1);
});

test("a page that is hidden gets no frames, and renders nevertheless, a little later", async () => {
  await follow();
  bring(1);
  mock.timers.tick(250);
  assert.deepEqual([store.get().value, renders], [["1"], 1]);
  paint();
  assert.equal(renders, 1);
});

test("what has come is kept when nobody follows any more, and comes no second time", async () => {
  await follow();
  bring(1, 2);
  store.pause();
  paint();
  assert.equal(renders, 0);
  assert.ok(legs[0].signal.aborted);
  await follow();
  assert.equal(legs[1].cursor, "2");
  bring(2, 3);
  paint();
  assert.deepEqual(store.get().value, ["1", "2", "3"]);
});

test("another identity begins anew", async () => {
  await follow();
  bring(1, 2);
  store.pause();
  await follow("t");
  assert.equal(legs[1].cursor, null);
  paint();
  assert.deepEqual(store.get().value, []);
});

test("a store that is followed and left at once, as effects are that run twice, asks once", async () => {
  store.follow("s", "http://stream.test/s");
  store.pause();
  await follow();
  assert.equal(legs.length, 1);
});

test("a fresh token is asked of the function of the last render", async () => {
  store.options = { transport, token: () => "old" };
  store.follow("s", "http://stream.test/s");
  store.options = { transport, token: async () => "new" };
  await new Promise(setImmediate);
  assert.equal(legs[0].token, "new");
});

test("on the server nothing is followed, and the first render is a browser's first", () => {
  const Page = ({ url }) => {
    const { events, state, error } = useStream(url, { transport });
    return createElement("p", null, `${state.name} ${events.length} ${error}`);
  };
  const shown = ["/s", null].map((url) => renderToString(createElement(Page, { url })));
  assert.deepEqual(shown, ["<p>connecting 0 </p>", "<p>idle 0 </p>"]);
  assert.equal(legs.length, 0);
});
