/** The standard's own cases, which the Python client goes through too (tests/client). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { serverSentEvents } from "../../../public/lastevent/sse.js";
import { createParser } from "../../../public/vendor/eventsource-parser/index.js";

const file = new URL("../../standard/event-stream.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8"));
const EVENTS = { "Content-Type": "text/event-stream" };

/** The bytes whole, one by one (also with empty pieces between them), and in every two parts. */
function* everyWay(bytes) {
  yield [bytes];
  const each = [...bytes].map((byte) => Uint8Array.of(byte));
  yield each;
  yield each.flatMap((byte) => [new Uint8Array(), byte]);
  for (let place = 1; place < bytes.length; place += 1) {
    yield [bytes.subarray(0, place), bytes.subarray(place)];
  }
}

/** What our client reads in one leg that comes in these pieces. */
async function read(pieces) {
  const rest = [...pieces];
  const reader = {
    read: async () => (rest.length ? { done: false, value: rest.shift() } : { done: true }),
    cancel: async () => {},
  };
  const body = { getReader: () => reader };
  const messages = [];
  await serverSentEvents(async () => ({ status: 200, headers: new Headers(EVENTS), body }))({
    url: "http://stream.test/",
    cursor: null,
    token: null,
    signal: new AbortController().signal,
    onBytes: () => {},
    onMessage: (message) => messages.push({ ...message, id: message.id ?? "" }),
    isOver: () => false,
  });
  return messages;
}

/** The `retry` that our client's parser reads; it is a native client's, ours goes by `retry_ms`. */
function retryOf(pieces) {
  let retry = null;
  const parser = createParser({ onRetry: (ms) => (retry = ms) });
  const text = new TextDecoder();
  for (const piece of pieces) parser.feed(text.decode(piece, { stream: true }));
  return retry;
}

for (const { name, text, bytes, messages, retry } of cases) {
  test(name, async () => {
    const raw = new Uint8Array(Buffer.from(text ?? bytes, text === undefined ? "latin1" : "utf8"));
    const expected = messages.map((message) => ({ id: "", type: "message", ...message }));
    for (const pieces of everyWay(raw)) {
      assert.deepEqual(await read(pieces), expected);
      assert.equal(retryOf(pieces), retry);
    }
  });
}

test("there are cases", () => assert.ok(cases.length > 70));
