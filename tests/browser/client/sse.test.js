import assert from "node:assert/strict";
import { createServer } from "node:http";
import { afterEach, beforeEach, test } from "node:test";

import { serverSentEvents } from "../../../public/lastevent/sse.js";
import { TooLarge } from "../../../public/lastevent/transport.js";
import { at, event, frame, open, rotate } from "./wire.js";

const EVENTS = { "Content-Type": "text/event-stream; charset=utf-8" };
const LIMIT = 5000;

let server;
let answer;
let requests;
let port;

beforeEach(async () => {
  requests = [];
  server = createServer((request, response) => {
    requests.push(request);
    answer(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = server.address().port;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** Run one leg; return how it was answered, and its messages. It is over after `until`. */
async function leg({ cursor = null, token = null, until = () => false } = {}) {
  const messages = [];
  const result = await serverSentEvents(fetch)({
    url: `http://127.0.0.1:${port}/s`,
    cursor,
    token,
    signal: AbortSignal.timeout(LIMIT),
    onBytes: () => {},
    onMessage: (message) => messages.push(message),
    isOver: () => until(messages),
  });
  return { ...result, messages };
}

const isRotated = (messages) => messages.some(({ data }) => data.includes('"rotate"'));

test("a leg is read to its end, with its cursor and token in the headers", async () => {
  answer = (response) => response.writeHead(200, EVENTS).end(frame(open(0)) + frame(event(1)));
  const { status, messages } = await leg({ cursor: at(0), token: "secret" });
  assert.equal(status, 200);
  assert.deepEqual(messages, [open(0), event(1)]);
  const { headers } = requests[0];
  assert.equal(headers["last-event-id"], at(0));
  assert.equal(headers.authorization, "Bearer secret");
  assert.equal(headers.accept, "text/event-stream");
});

test("who has no cursor and no token sends none", async () => {
  answer = (response) => response.writeHead(200, EVENTS).end();
  await leg();
  assert.ok(!("last-event-id" in requests[0].headers));
  assert.ok(!("authorization" in requests[0].headers));
});

test("characters and line ends may be cut anywhere", async () => {
  const bytes = Buffer.from(`\ufeffid: 1\r\nevent: note\r\ndata: Grüße 🌍\r\ndata: zwei\r\n\r\n`);
  answer = async (response) => {
    response.writeHead(200, EVENTS);
    for (const byte of bytes) {
      response.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
  };
  const { messages } = await leg();
  assert.deepEqual(messages, [{ id: "1", type: "note", data: "Grüße 🌍\nzwei" }]);
});

test("a leg cut within a frame rejects, and its last piece is no message", async () => {
  answer = (response) => {
    response.writeHead(200, EVENTS);
    response.write(frame(event(1)) + "id: x\ndata: hal");
    setTimeout(() => response.destroy(), 20);
  };
  const messages = [];
  const options = { until: (all) => (messages.splice(0, 9, ...all), false) };
  await assert.rejects(leg(options), TypeError);
  assert.deepEqual(messages, [event(1)]);
});

test("a server that keeps its side open after a planned end is left", async () => {
  answer = (response) => {
    response.writeHead(200, EVENTS);
    response.write(frame(rotate(1)));
  };
  const began = performance.now();
  await leg({ until: isRotated });
  assert.ok(performance.now() - began < LIMIT);
});

test("a planned end keeps the connection for the next leg", async () => {
  answer = (response) => {
    response.writeHead(200, EVENTS);
    response.write(frame(rotate(1)));
    setTimeout(() => response.end(), 20);
  };
  await leg({ until: isRotated });
  await new Promise((resolve) => setTimeout(resolve, 50)); // Node hands it back a little later
  await leg({ until: isRotated });
  assert.equal(requests[0].socket.remotePort, requests[1].socket.remotePort);
});

test("a refusal is told in the words of its problem", async () => {
  const problem = { type: "about:blank", title: "No", status: 403, detail: "not this one" };
  answer = (response) =>
    response
      .writeHead(403, { "Content-Type": "application/problem+json" })
      .end(JSON.stringify(problem));
  const { status, detail } = await leg();
  assert.deepEqual([status, detail], [403, "not this one"]);
});

test("a refusal without a problem is told by its status, however long its page", async () => {
  answer = (response) => {
    response.writeHead(502, { "Content-Type": "text/html" });
    response.write("<html>".repeat(100_000));
  };
  assert.equal((await leg()).detail, "the server answered 502");
});

test("a problem is not read for ever", async () => {
  answer = (response) => {
    response.writeHead(500, { "Content-Type": "application/json" });
    response.write("[".repeat(20_000));
  };
  assert.equal((await leg()).detail, "the server answered 500");
});

for (const [header, least, most] of [
  ["7", 7000, 7000],
  [new Date(Date.now() + 60_000).toUTCString(), 50_000, 60_000],
  [new Date(0).toUTCString(), 0, 0],
  ["soon", 0, 0],
]) {
  test(`Retry-After: ${header}`, async () => {
    answer = (response) => response.writeHead(429, { "Retry-After": header }).end();
    const { retryAfter } = await leg();
    assert.ok(least <= retryAfter && retryAfter <= most, String(retryAfter));
  });
}

test("204 is an answer without messages", async () => {
  answer = (response) => response.writeHead(204).end();
  const { status, messages } = await leg();
  assert.deepEqual([status, messages], [204, []]);
});

test("a page that comes in place of the stream is no success", async () => {
  answer = (response) => response.writeHead(200, { "Content-Type": "text/html" }).end("Sign in");
  await assert.rejects(leg(), /text\/html, not text\/event-stream/);
});

test("an event without an end is not kept for ever", async () => {
  answer = (response) => {
    response.writeHead(200, EVENTS).write("data: ");
    const piece = "x".repeat(1 << 20);
    for (let count = 0; count < 5; count += 1) response.write(piece);
  };
  await assert.rejects(leg(), TooLarge);
});

test("a peer that cannot be reached rejects", async () => {
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(leg(), TypeError);
});
