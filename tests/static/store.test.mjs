// The store: what is counted, what a click means, and how what the server says meets what the reader just said.
import assert from "node:assert/strict";
import { test } from "node:test";
import { countFrom, unpack } from "../../static/viewer/columns.js";
import { gallery } from "../../static/viewer/order.js";
import { emptyScene, inHotspot } from "../../static/viewer/scene.js";
import { Tissue } from "../../static/viewer/tissue.js";
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
  assert.deepEqual([...gallery(store, "score", "all", 1, emptyScene())], [0, 1]);
  assert.deepEqual([...gallery(store, "threshold", "all", 1, emptyScene())], [1, 2, 3, 0]);
  store.setMinScore(0.4);
  // Bands of 500 um: at 2 um/px the first one ends at y = 250 and is read to the right, the second one to the left.
  assert.deepEqual(gallery(store, "place", "all", 2, emptyScene()), [0, 1, 2, 3]);
  store.setFigures([figure("a", "non_mitotic", { candidate: 1001 })]);
  assert.deepEqual([...gallery(store, "score", "open", 1, emptyScene())], [0, 2, 3]);
  assert.deepEqual([...gallery(store, "score", "non_mitotic", 1, emptyScene())], [1]);
});

test("hotspot first, and filters of what is counted, in the hotspot and in the tumour", () => {
  const store = storeOf(PLACES, 0.4);
  const around = (x, y, first) => ({ x, y, shape: "circle", side: 80, sideY: 80, say: "", first });
  const scene = { ...emptyScene(), hotspots: [around(200, 300, true), around(10, 10, false)] };
  assert.deepEqual([...gallery(store, "hotspot", "all", 1, scene)], [2, 0, 1, 3]);
  assert.deepEqual([...gallery(store, "score", "hotspot", 1, scene)], [2]);
  assert.ok(inHotspot(emptyScene(), 1, 1)); // where none is outlined, all of a small area is counted
  const polygon = [
    [0, 0],
    [150, 0],
    [150, 150],
    [0, 150],
  ];
  store.setRegions([{ id: "t", kind: "tumour", polygon }]);
  assert.deepEqual([...gallery(store, "score", "tumour", 1, scene)], [0, 1]);
  assert.deepEqual([...gallery(store, "score", "hotspot", 1, scene)], []); // it is not evaluable
  store.setFigures([figure("a", "unsure", { candidate: 1001 }), figure("b", "mitotic", { x: 90, y: 90, added: true })]);
  assert.deepEqual([...gallery(store, "score", "counted", 1, scene)], [0, 4]);
  assert.equal(store.numbers().reviewed, 2);
});

test("what lies on glass is not counted; what corrects the mask bounds nothing by itself", () => {
  const store = storeOf(PLACES, 0.4);
  // A slide of 400 x 800 px in 2 x 4 pixels: the left column is tissue, of the right one the first is near to it.
  const grey = Uint8Array.from([255, 128, 255, 0, 255, 0, 0, 0]);
  store.setTissue(new Tissue(grey, 2, 4, { width: 400, height: 800 }));
  assert.deepEqual(
    [0, 1, 2, 3].map((spot) => store.evaluable(spot)),
    [true, true, false, true],
  );
  assert.deepEqual([store.numbers().ai, store.numbers().reviewed], [3, 3]);
  const [x, y] = PLACES[2];
  store.setFigures([figure("a", "mitotic", { x, y, candidate: 1002 })]);
  assert.deepEqual([store.numbers().reviewed, store.numbers().mitotic], [3, 0]);
  store.setRegions([
    {
      id: "g",
      kind: "glass",
      polygon: [
        [0, 0],
        [9, 0],
        [9, 9],
      ],
    },
  ]);
  assert.equal(store.numbers().ai, 3);
  store.setTissue(null);
  assert.equal(store.numbers().ai, 4);
});

test("a figure whose verdict was taken back is still what its place means", () => {
  const store = storeOf(PLACES);
  store.setFigures([figure("a", "", { x: 300, y: 50, added: true, version: 2 })]);
  assert.equal(store.figure(store.nearestFigure(303, 50, 30)).version, 2);
  assert.equal(store.nearestFigure(340, 50, 30), -1);
  assert.equal(store.nearest(303, 50, 30), -1); // but nothing shows there
});
