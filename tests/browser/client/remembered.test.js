import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Remembered } from "../../../public/site/remembered.js";

let kept = new Map();
let refuses = false;

globalThis.localStorage = {
  getItem: (key) => {
    if (refuses) throw new Error("refused");
    return kept.get(key) ?? null;
  },
  setItem: (key, text) => {
    if (refuses) throw new Error("refused");
    kept.set(key, text);
  },
};

beforeEach(() => {
  kept = new Map();
  refuses = false;
});

const make = () => new Remembered("key", (one) => typeof one?.id === "string");
const ids = (remembered) => remembered.all().map(({ id }) => id);

test("what is new comes first, and what is known keeps its place", () => {
  const remembered = make();
  for (const id of ["a", "b", "c"]) remembered.remember({ id, n: 1 });
  remembered.remember({ id: "a", n: 2 });
  assert.deepEqual(remembered.all(), [{ id: "c", n: 1 }, { id: "b", n: 1 }, { id: "a", n: 2 }]);
  assert.deepEqual(remembered.find("a"), { id: "a", n: 2 });
  assert.equal(remembered.find("d"), undefined);
  remembered.forget("b");
  assert.deepEqual(ids(make()), ["c", "a"], "another page knows the same");
});

test("twenty are known", () => {
  const remembered = make();
  for (let n = 0; n < 30; n += 1) remembered.remember({ id: String(n) });
  assert.deepEqual([ids(remembered).length, ids(remembered)[0]], [20, "29"]);
});

test("what another page has kept meanwhile stays", () => {
  const [one, other] = [make(), make()];
  one.remember({ id: "a" });
  other.remember({ id: "b" });
  one.remember({ id: "c" });
  assert.deepEqual(ids(other), ["c", "b", "a"]);
});

test("what is not ours counts for nothing", () => {
  for (const text of ["{", "7", '{"id":"a"}', '[null,{"id":7}]']) {
    kept.set("key", text);
    assert.deepEqual(make().all(), [], text);
  }
});

test("where the browser refuses, it is known for as long as the page", () => {
  refuses = true;
  const remembered = make();
  remembered.remember({ id: "a" });
  remembered.remember({ id: "b" });
  remembered.forget("a");
  assert.deepEqual(ids(remembered), ["b"]);
  assert.deepEqual(ids(make()), []);
});
