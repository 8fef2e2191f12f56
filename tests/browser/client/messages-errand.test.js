import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Errand } from "../../../public/messages/errand.js";
import { Refused } from "../../../public/site/api.js";

/** Let promises go as far as they do without time. */
async function settle() {
  for (let n = 0; n < 20; n += 1) await null;
}

/** An errand whose tasks end as told, and what became of them. */
function errand(outcomes) {
  const told = [];
  const made = new Errand(() =>
    outcomes.length
      ? {
          run: async () => {
            const outcome = outcomes.shift();
            told.push(outcome === "done" ? "done" : "tried");
            if (outcome !== "done") throw outcome;
          },
          failed: (_error, isLast) => isLast && told.push("given up"),
        }
      : null,
  );
  return { made, told };
}

test("what fails is done again after growing pauses, one at a time", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { made, told } = errand([new Error(), new Error(), "done", "done"]);
  made.poke();
  made.poke();
  await settle();
  assert.deepEqual(told, ["tried"]);
  made.poke(); // the pause goes on
  mock.timers.tick(999);
  await settle();
  assert.equal(told.length, 1);
  mock.timers.tick(1);
  await settle();
  assert.equal(told.length, 2);
  mock.timers.tick(1999);
  await settle();
  assert.equal(told.length, 2);
  mock.timers.tick(1);
  await settle();
  assert.deepEqual(told, ["tried", "tried", "done", "done"]);
  mock.timers.reset();
});

test("whoever hurries waits no longer", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { made, told } = errand([new Error(), "done"]);
  made.poke();
  await settle();
  made.hurry();
  await settle();
  assert.deepEqual(told, ["tried", "done"]);
  mock.timers.tick(60_000);
  await settle();
  assert.equal(told.length, 2);
  mock.timers.reset();
});

test("it has an end", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { made, told } = errand(Array.from({ length: 10 }, () => new Refused(503, "")));
  made.poke();
  for (let n = 0; n < 20; n += 1) {
    await settle();
    mock.timers.tick(30_000);
  }
  assert.deepEqual(told, [...Array.from({ length: 10 }, () => "tried"), "given up"]);
  mock.timers.reset();
});

test("what was refused is not tried again, what was put off is", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const refused = errand([new Refused(403, ""), "done"]);
  refused.made.poke();
  await settle();
  assert.deepEqual(refused.told, ["tried", "given up", "done"]);
  const putOff = errand([new Refused(429, ""), "done"]);
  putOff.made.poke();
  await settle();
  assert.deepEqual(putOff.told, ["tried"]);
  mock.timers.reset();
});
