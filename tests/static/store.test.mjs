// The store: what is counted, what a click means, and how what the server says meets what the reader just said.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countFrom, unpack } from "../../static/viewer/columns.js";
import { gallery } from "../../static/viewer/order.js";
import { figure, storeOf } from "./fakes.mjs";

const PLACES = [
  [10, 10, 0.9],
  [100, 10, 0.7],
  [200, 300, 0.5],
  [50, 400, 0.4],
];

test("the packed answer is read as it was written", () => {
  const buffer = new ArrayBuffer(16 + 2 * 20);
  new Float64Array(buffer, 0, 4).set([2, 5_000_000_000, 0.9, 0.25]);
  new Float32Array(buffer, 32, 4).set([1.5, 2.5, 3.5, 4.5]);
  new Uint32Array(buffer, 48, 2).set([7, 0]);
  const { n, score, x, y, key } = unpack(buffer);
  assert.deepEqual(
    [n, [...score], [...x], [...y], [...key]],
    [2, [0.9, 0.25], [1.5, 2.5], [3.5, 4.5], [5_000_000_007, 5_000_000_000]],
  );
  assert.throws(() => unpack(buffer.slice(0, 50)), /incomplete/);
});

test("the threshold holds scores at it", () => {
  const score = Float64Array.from([0.9, 0.5, 0.5, 0.2]);
  assert.deepEqual(
    [0.95, 0.9, 0.5, 0.3, 0].map((least) => countFrom(score, least)),
    [0, 1, 3, 3, 4],
  );
});

test("reviewed counts what nobody rejected and every figure called mitotic, whatever its score", () => {
  const store = storeOf(PLACES);
  assert.deepEqual(store.numbers(), { ai: 3, reviewed: 3, mitotic: 0, non_mitotic: 0, unsure: 0, added: 0, unseen: 3 });
  store.setFigures([
    figure("a", "non_mitotic", { candidate: 1000 }),
    figure("b", "mitotic", { candidate: 1001 }),
    figure("c", "mitotic", { candidate: 1003 }),
    figure("d", "mitotic", { added: true, x: 300, y: 300 }),
    figure("e", "unsure", { candidate: 1002 }),
    figure("f", "", { added: true }),
  ]);
  assert.deepEqual(store.numbers(), { ai: 3, reviewed: 3, mitotic: 3, non_mitotic: 1, unsure: 1, added: 1, unseen: 0 });
});

test("only what lies in a tumour region and in no exclusion is counted", () => {
  const store = storeOf(PLACES);
  const square = (x, y, side) => [
    [x, y],
    [x + side, y],
    [x + side, y + side],
    [x, y + side],
  ];
  store.setRegions([{ id: "t", kind: "tumour", polygon: square(0, 0, 150) }]);
  assert.equal(store.numbers().ai, 2);
  store.setRegions([
    { id: "t", kind: "tumour", polygon: square(0, 0, 150) },
    { id: "x", kind: "exclusion", polygon: square(90, 0, 20) },
  ]);
  assert.equal(store.numbers().ai, 1);
  store.setRegions([]);
  assert.equal(store.numbers().ai, 3);
});

test("an outline counts what lies in it", () => {
  const store = storeOf(PLACES);
  assert.equal(store.numbers({ x: 55, y: 10, shape: "circle", side: 92, sideY: 92 }).ai, 2);
  assert.equal(store.numbers({ x: 55, y: 10, shape: "circle", side: 88, sideY: 88 }).ai, 0);
});

test("a click means the nearest spot that shows", () => {
  const store = storeOf(PLACES);
  assert.equal(store.nearest(12, 12, 20), 0);
  assert.equal(store.nearest(55, 400, 20), -1); // below the threshold
  assert.equal(store.nearestCandidate(55, 400, 20), 3);
  store.setFigures([figure("d", "mitotic", { added: true, x: 14, y: 14 })]);
  assert.equal(store.nearest(14, 13, 20), 4);
});

test("a verdict that is on its way outlasts what the server said before it arrived", () => {
  const store = storeOf(PLACES);
  store.putFigure(figure("new 1", "mitotic", { candidate: 1000, pending: true }));
  store.setFigures([]);
  assert.equal(store.label(0), "mitotic");
  store.putFigure(figure("s1", "mitotic", { candidate: 1000 }), "new 1");
  assert.equal(store.spotOf("new 1"), 0);
  store.setFigures([]);
  assert.equal(store.label(0), "");
});

test("an added figure keeps its spot when the server gives it an id", () => {
  const store = storeOf(PLACES);
  store.putFigure(figure("new 1", "mitotic", { added: true, x: 500, y: 500, pending: true }));
  const spot = store.nearest(500, 500, 5);
  store.putFigure(figure("s1", "mitotic", { added: true, x: 500, y: 500 }), "new 1");
  assert.deepEqual([spot, store.spotOf("s1"), store.numbers().mitotic], [4, 4, 1]);
});

test("orders: closeness to the threshold, score, place; filters by verdict", () => {
  const store = storeOf(PLACES, 0.6);
  assert.deepEqual([...gallery(store, "score", "all", 1)], [0, 1]);
  assert.deepEqual([...gallery(store, "threshold", "all", 1)], [1, 2, 3, 0]);
  store.setMinScore(0.4);
  // Bands of 500 um: at 2 um/px the first one ends at y = 250 and is read to the right, the second one to the left.
  assert.deepEqual(gallery(store, "place", "all", 2), [0, 1, 2, 3]);
  store.setFigures([figure("a", "non_mitotic", { candidate: 1001 })]);
  assert.deepEqual([...gallery(store, "score", "open", 1)], [0, 2, 3]);
  assert.deepEqual([...gallery(store, "score", "non_mitotic", 1)], [1]);
});
