import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Kept, MOST_OUTGOING, outgoing } from "../../../public/messages/kept.js";

/** A browser's storage, as far as it is used: its keys are its own properties. */
class Storage {
  setItem(key, value) {
    this[key] = value;
  }
  getItem(key) {
    return this[key] ?? null;
  }
  removeItem(key) {
    delete this[key];
  }
}

const one = (clientId, at, more = {}) => ({ ...outgoing(clientId, "c", clientId, at), ...more });

beforeEach(() => (globalThis.localStorage = new Storage()));

test("a draft is kept for each user and conversation", () => {
  const kept = new Kept("clara");
  kept.keepDraft("c", "half a word");
  assert.equal(new Kept("clara").draft("c"), "half a word");
  assert.equal(new Kept("clara").draft("d"), "");
  assert.equal(new Kept("paul").draft("c"), "");
  kept.keepDraft("c", "");
  assert.deepEqual(Object.keys(localStorage), []);
});

test("what has no answer is kept, in order, and nothing else", () => {
  const kept = new Kept("clara");
  const answered = one("z", 3, { number: 7 });
  kept.keepOutgoing([one("b", 2, { failures: 3, refused: "no" }), one("a", 1), answered]);
  assert.deepEqual(new Kept("clara").outgoing(), [one("a", 1), one("b", 2)]);
  assert.deepEqual(new Kept("paul").outgoing(), []);
  kept.keepOutgoing([one("b", 2)]);
  assert.deepEqual(new Kept("clara").outgoing(), [one("b", 2)]);
});

test("what another tab keeps is left to it", () => {
  const [mine, other] = [new Kept("clara"), new Kept("clara")];
  other.keepOutgoing([one("a", 1)]);
  mine.keepOutgoing([one("b", 2)]);
  mine.keepOutgoing([]);
  assert.deepEqual(new Kept("clara").outgoing(), [one("a", 1)]);
});

test("what is no message is passed over, and there is a limit", () => {
  const kept = new Kept("clara");
  kept.keepOutgoing([one("a", 1)]);
  const [key] = Object.keys(localStorage);
  for (const value of ["", "null", "{}", '{"clientId":"b","conversation":"c","text":"","at":1}']) {
    localStorage[key.replace(/a$/, "b")] = value;
    assert.deepEqual(kept.outgoing(), [one("a", 1)]);
  }
  const many = Array.from({ length: MOST_OUTGOING + 20 }, (_, at) => one(`m${at}`, at));
  new Kept("paul").keepOutgoing(many);
  assert.equal(new Kept("paul").outgoing().length, MOST_OUTGOING);
});

test("a browser that keeps nothing does no harm", () => {
  globalThis.localStorage = new Proxy({}, {
    get() {
      throw new Error("refused");
    },
    ownKeys() {
      throw new Error("refused");
    },
  });
  const kept = new Kept("clara");
  kept.keepDraft("c", "text");
  kept.keepOutgoing([one("a", 1)]);
  assert.equal(kept.draft("c"), "");
  assert.deepEqual(kept.outgoing(), []);
});
