// The queue of verdicts: nothing is lost, nothing counts twice, conflicts are told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VerdictQueue } from "../../static/viewer/verdicts.js";
import { failure, settled, Shelf } from "./fakes.mjs";

const entry = (verdict, local = "f") => ({ verdict, label: "mitotic", x: 1, y: 2, expected: 0, local });

function queue(send, storage = new Shelf()) {
  const told = { kept: [], lost: [], conflict: [], refused: [], state: [] };
  const on = Object.fromEntries(Object.keys(told).map((name) => [name, (...what) => told[name].push(what[0])]));
  return { queue: new VerdictQueue({ send, storage, name: "q", on }), told, storage };
}

test("verdicts arrive one by one, in the order in which they were given", async () => {
  const sent = [];
  const { queue: q, told } = queue(async (one) => void sent.push(one.verdict));
  ["a", "b", "c"].forEach((name) => q.give(entry(name)));
  await settled();
  assert.deepEqual(sent, ["a", "b", "c"]);
  assert.deepEqual([told.kept.length, q.waiting.length, told.state.at(-1).waiting], [3, 0, 0]);
});

test("what could not be sent stays in the browser, over a reload, and is sent later with the same id", async () => {
  const { queue: q, told, storage } = queue(() => Promise.reject(failure(0)));
  q.give(entry("a"));
  q.give(entry("b"));
  await settled();
  assert.equal(told.state.at(-1).waiting, 2);
  assert.equal(told.state.at(-1).error.status, 0);
  q.stop();
  const sent = [];
  const { queue: again } = queue(async (one) => void sent.push(one.verdict), storage);
  assert.equal(again.waiting.length, 2);
  await again.flush();
  assert.deepEqual(sent, ["a", "b"]);
});

test("a conflict drops the verdict and those given on top of it, and goes on with the others", async () => {
  const sent = [];
  const { queue: q, told } = queue(async (one) => {
    sent.push(one.verdict);
    if (one.verdict === "a") throw failure(409);
  });
  q.give(entry("a", "f1"));
  q.give(entry("b", "f1"));
  q.give(entry("c", "f2"));
  await settled();
  assert.deepEqual([sent, told.conflict.map((one) => one.verdict), q.waiting.length], [["a", "c"], ["a"], 0]);
  assert.deepEqual(
    told.lost.map((one) => one.verdict),
    ["a", "b"],
  );
});

test("a refused verdict is told and does not block the others", async () => {
  const { queue: q, told } = queue(async (one) => {
    if (one.verdict === "a") throw failure(400);
  });
  q.give(entry("a", "f1"));
  q.give(entry("b", "f2"));
  await settled();
  assert.deepEqual([told.refused.length, told.kept.length], [1, 1]);
});

test("two tabs on one slide keep what the other one has not sent", async () => {
  const storage = new Shelf();
  const { queue: first } = queue(() => Promise.reject(failure(0)), storage);
  const { queue: second } = queue(() => Promise.reject(failure(0)), storage);
  first.give(entry("a"));
  second.give(entry("b"));
  first.give(entry("c"));
  await settled();
  [first, second].forEach((q) => q.stop());
  const { queue: later } = queue(() => Promise.reject(failure(0)), storage);
  assert.deepEqual(later.waiting.map((one) => one.verdict).sort(), ["a", "b", "c"]);
  assert.equal(queue(async () => {}, storage).queue.waiting.length, 3);
});

test("where nothing can be stored a verdict is sent all the same, and the page is told that it must stay open", async () => {
  const storage = Object.assign(new Shelf(), {
    setItem() {
      throw new Error("full");
    },
  });
  let away = true;
  const { queue: q, told } = queue(() => (away ? Promise.reject(failure(0)) : Promise.resolve({})), storage);
  q.give(entry("a"));
  await settled();
  assert.deepEqual([told.state.at(-1).waiting, told.state.at(-1).stored], [1, false]);
  away = false;
  await q.flush();
  assert.deepEqual([told.kept.length, told.state.at(-1).stored], [1, true]);
});

test("a broken shelf is an empty one", () => {
  const storage = new Shelf();
  storage.setItem("q a", "{no json");
  assert.equal(queue(async () => {}, storage).queue.waiting.length, 0);
});
