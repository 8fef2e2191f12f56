import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { rowsOf } from "../../../public/messages/rows.js";
import { outgoing } from "../../../public/messages/state.js";
import { Store } from "../../../public/messages/store.js";
import { Writing } from "../../../public/messages/writing.js";
import { ID, ME, OTHER, Talk } from "./messages.js";

const { fetch } = globalThis;
const ATTEMPTS = 10;

/** Let everything happen that needs no time; bodies of answers take a few turns. */
async function settle() {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.addEventListener = () => {};
});
afterEach(() => {
  mock.timers.reset();
  delete globalThis.addEventListener;
  globalThis.fetch = fetch;
});

/** A page that writes to a server which takes what is sent, and whose answers come if `answers`. */
function written(text) {
  const talk = new Talk();
  talk.send(OTHER, "a question", "s0");
  const server = { talk, asked: [], answers: false };
  globalThis.fetch = async (_path, { body }) => {
    const { text, clientMessageId } = JSON.parse(body);
    server.asked.push(clientMessageId);
    const sent = talk.send(ME, text, clientMessageId);
    if (!server.answers) throw new TypeError("network error");
    return Response.json(sent, { status: 201 });
  };
  const store = new Store();
  const writing = new Writing(store);
  store.dispatch({ type: "began", me: ME, conversations: [talk.summary()], more: null });
  store.dispatch({ type: "opened", id: ID });
  store.dispatch(talk.history(null, 50));
  talk.events.length = 0;
  writing.begin(ME);
  writing.send(text);
  const rows = () =>
    rowsOf(store.state.conversations.get(ID), store.state, 3000)
      .filter(({ kind }) => kind === "said")
      .map(({ text, state }) => `${text} ${state}`.trim());
  const hear = () => talk.events.splice(0).forEach((event) => store.dispatch(event));
  return { server, store, writing, rows, hear };
}

async function giveUp(server) {
  for (let pauses = 0; pauses < 2 * ATTEMPTS; pauses += 1) {
    await settle();
    mock.timers.tick(30_000);
  }
  assert.equal(server.asked.length, ATTEMPTS);
}

test("a message that came, though ten attempts had no answer, is not doubled by trying again", async () => {
  const { server, store, writing, rows, hear } = written("an answer");
  await giveUp(server);
  assert.deepEqual(rows(), ["a question", "an answer failed"]);
  const [one] = outgoing(store.state);
  assert.equal(one.isSure, false, "it may have come all the same");
  server.answers = true;
  writing.retry(one.clientId);
  await settle();
  assert.equal(server.asked.length, ATTEMPTS + 1);
  assert.deepEqual([...new Set(server.asked)], [one.clientId], "always the same message");
  assert.deepEqual(rows(), ["a question", "an answer sent"]);
  hear();
  assert.deepEqual(rows(), ["a question", "an answer sent"]);
  assert.deepEqual(outgoing(store.state), []);
  assert.equal(server.talk.head, 2);
});

test("once the stream has told of it there is nothing to try again", async () => {
  const { server, store, writing, rows, hear } = written("an answer");
  await giveUp(server);
  const [one] = outgoing(store.state);
  hear();
  assert.deepEqual(rows(), ["a question", "an answer sent"]);
  writing.retry(one.clientId);
  await settle();
  assert.equal(server.asked.length, ATTEMPTS);
  assert.deepEqual(rows(), ["a question", "an answer sent"]);
});
