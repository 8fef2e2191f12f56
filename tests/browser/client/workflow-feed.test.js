import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed } from "../../../public/workflows/feed.js";
import { faults, found, stageTitle } from "../../../public/workflows/words.js";

let ids = 0;

function event(type, fields, id = `id ${(ids += 1)}`) {
  const named = { poId: "po_1", workflowId: "wf_1", stage: "ai_parsing", round: 1, time: 1000 };
  return [{ id, type }, { ...named, ...fields }, 5];
}

const shown = (feed) => feed.entries.map(({ badge, text }) => `${badge.word}: ${text}`);

test("an event is news once, however often it comes", () => {
  const feed = new Feed();
  const started = event("stage", { status: "started" });
  assert.equal(feed.add(...started), true);
  assert.equal(feed.add(...started), false);
  assert.deepEqual(shown(feed), ["Started: AI parsing"]);
});

test("what belongs together is one entry, under one key", () => {
  const feed = new Feed();
  feed.add(...event("stage", { status: "started" }));
  feed.add(...event("progress", { message: "Reading 12 bytes" }));
  const [{ key }] = feed.entries;
  feed.add(...event("progress", { message: "Found 5 line items", time: 1200 }));
  assert.equal(feed.entries[0].key, key);
  feed.add(...event("stage", { status: "completed" }));
  feed.add(...event("completion", { lineItems: 5, confidence: 95 }));
  assert.deepEqual(shown(feed), [
    "Done: AI parsing: 5 line items · confidence 95 %.",
    "Progress: AI parsing: Found 5 line items.",
    "Started: AI parsing",
  ]);
});

test("other orders in between do not part what belongs together", () => {
  const feed = new Feed();
  feed.add(...event("progress", { message: "one" }));
  feed.add(...event("progress", { message: "other's", poId: "po_2" }));
  feed.add(...event("progress", { message: "two" }));
  assert.deepEqual(shown(feed), ["Progress: AI parsing: other's.", "Progress: AI parsing: two."]);
});

test("a failed attempt stays, and the order's failure is its stage's", () => {
  const feed = new Feed();
  feed.add(...event("progress", { message: "Attempt 1 failed: the shop is away" }));
  feed.add(...event("progress", { message: "Again" }));
  feed.add(...event("stage", { status: "failed", message: "it is gone" }));
  feed.add(...event("failure", { error: "it is gone", status: "failed", over: true }));
  assert.deepEqual(shown(feed), [
    "Failed: AI parsing: it is gone.",
    "Progress: AI parsing: Again.",
    "Retry: AI parsing: Attempt 1 failed: the shop is away.",
  ]);
  feed.add(...event("failure", { error: "It was cancelled.", status: "cancelled", over: true, round: 2 }));
  assert.equal(feed.entries.length, 4);
  assert.equal(feed.entries[0].badge.word, "Cancelled");
});

test("it is bounded, and what is no activity is left out", () => {
  const feed = new Feed();
  for (let n = 0; n < 3000; n += 1) feed.add(...event("stage", { status: "started", poId: `po_${n}` }));
  assert.equal(feed.entries.length, 100);
  assert.equal(feed.entries[0].poId, "po_2999");
  assert.equal(feed.add(...event("note", {})), false);
  assert.equal(feed.add(...event("stage", { poId: 7, status: "started" })), false);
  feed.note("Lost.", 7);
  assert.deepEqual([feed.entries.length, feed.entries[0].time], [100, 7]);
});

test("times are the event's own, and now where it says none", () => {
  const feed = new Feed();
  feed.add(...event("stage", { status: "started" }));
  feed.add(...event("stage", { status: "started", time: undefined, poId: "po_2" }));
  assert.deepEqual(feed.entries.map(({ time }) => time), [5, 1000]);
});

test("a bad file's error is told line by line", () => {
  const error = "line 3: the quantity is -3: write more; really; line 5: it is missing; and 2 more";
  assert.deepEqual(faults(error), [
    { line: 3, what: "The quantity is -3: write more; really." },
    { line: 5, what: "It is missing." },
    { line: null, what: "And 2 more." },
  ]);
  assert.deepEqual(faults("the shop is away; try later"), [
    { line: null, what: "The shop is away; try later." },
  ]);
});

test("results and names in words", () => {
  assert.equal(found({ lineItems: 1, pieces: 1200, total: "24014.72", currency: "EUR" }),
    "1 line item · 1,200 pieces · 24,014.72 EUR");
  assert.equal(found({ images: 2, refused: 1, products: 3, created: 2 }),
    "3 products, 2 new · 2 pictures, 1 refused");
  assert.equal(found({ whatever: 7 }), "");
  assert.equal(stageTitle("shopify_sync"), "Shopify sync");
  assert.equal(stageTitle("count_lines"), "Count lines");
});
