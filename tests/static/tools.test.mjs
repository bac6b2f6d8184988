// Tools of the slide page without a slide: a stage on which one screen px is one level-0 px.
import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyScene } from "../../static/viewer/scene.js";
import { RegionTool } from "../../static/viewer/tools/region.js";
import { SelectTool } from "../../static/viewer/tools/select.js";
import { ask } from "../../static/viewer/tools/tool.js";
import { storeOf } from "./fakes.mjs";

const at = (x, y) => ({ x, y });
const SQUARE = [
  [100, 100],
  [300, 100],
  [300, 300],
  [100, 300],
];
const stage = {
  centre: [500, 500],
  toSlide: ({ x, y }) => [x, y],
  onSlide: ({ x, y }) => [Math.min(1000, Math.max(0, x)), Math.min(1000, Math.max(0, y))],
  reach: (pixels) => pixels,
};

function drawing(regions = []) {
  const store = storeOf([]);
  store.setRegions(regions);
  const scene = emptyScene();
  const told = { drawn: [], edited: [], removed: [], said: [] };
  const tool = new RegionTool(stage, store, scene, {
    drawn: (...what) => told.drawn.push(what),
    edited: ({ id }, polygon) => told.edited.push([id, polygon]),
    removed: ({ id }) => told.removed.push(id),
    changed: () => {},
    say: (words) => told.said.push(words),
  });
  return { tool, scene, told };
}
const tumour = { id: "t", kind: "tumour", polygon: SQUARE };

test("corners by click, by key in the middle and by free hand; the first corner closes", () => {
  const { tool, told } = drawing();
  assert.equal(tool.click(at(5, 5)), false); // nothing is drawn yet
  tool.activate("exclusion");
  tool.click(at(10, 10));
  tool.click(at(1400, 10)); // beside the slide
  tool.cornerInTheMiddle();
  tool.drag(at(502, 502), { shiftKey: true }); // too near to the last corner
  tool.drag(at(400, 700), { shiftKey: true });
  assert.equal(tool.drag(at(0, 700), { shiftKey: false }), false); // the slide is moved
  tool.click(at(12, 12));
  const corners = [
    [10, 10],
    [1000, 10],
    [500, 500],
    [400, 700],
  ];
  assert.deepEqual(told.drawn, [["exclusion", corners]]);
  assert.equal(tool.drawing, false);
});

test("a region needs three corners; a corner is taken back; Esc gives up", () => {
  const { tool, told, scene } = drawing();
  assert.deepEqual([tool.backspace(), tool.finish(), tool.remove(), tool.deactivate()], [false, false, false, false]);
  tool.activate("tumour");
  tool.click(at(10, 10));
  tool.click(at(90, 10));
  tool.click(at(90, 90));
  tool.backspace();
  tool.finish();
  assert.match(told.said.at(-1), /three corners/);
  assert.equal(tool.deactivate(), true);
  assert.deepEqual([scene.draft, told.drawn], [null, []]);
});

test("a region is chosen by its edge and removed", () => {
  const { tool, scene, told } = drawing([tumour]);
  assert.equal(tool.click(at(200, 200)), false); // inside
  assert.equal(tool.click(at(200, 104)), true);
  assert.equal(scene.region, "t");
  tool.remove();
  assert.deepEqual([told.removed, scene.region], [["t"], null]);
});

test("a corner is dragged, a knob between two makes a new one, and the region itself stays as it was", () => {
  const { tool, told } = drawing([tumour]);
  assert.equal(tool.press(at(300, 300)), false); // not chosen
  tool.choose("t");
  tool.press(at(302, 301));
  tool.drag(at(400, 420));
  tool.release();
  tool.choose("t");
  tool.press(at(200, 100));
  tool.drag(at(200, 50));
  tool.release();
  const [a, b, c, d] = SQUARE;
  assert.deepEqual(told.edited, [
    ["t", [a, b, [400, 420], d]],
    ["t", [a, [200, 50], b, c, d]],
  ]);
  assert.deepEqual(tumour.polygon, SQUARE);
});

test("Esc while a corner is dragged lets go of it", () => {
  const { tool, told } = drawing([tumour]);
  tool.choose("t");
  tool.press(at(300, 300));
  tool.deactivate();
  assert.equal(tool.drag(at(400, 400), { shiftKey: false }), false);
  assert.equal(tool.release(), false);
  assert.deepEqual(told.edited, []);
});

test("the first tool that takes a gesture is the only one", () => {
  const chosen = [];
  const store = storeOf([[200, 100, 0.9]]);
  const { tool, scene } = drawing([tumour]);
  const tools = [tool, new SelectTool(stage, store, (spot) => chosen.push(spot))];
  assert.equal(ask(tools, "click", at(200, 100)), true); // on the edge of the region and on the candidate
  assert.deepEqual([scene.region, chosen], ["t", []]);
  assert.equal(ask(tools, "click", at(206, 112)), true);
  assert.deepEqual(chosen, [0]);
  assert.equal(ask(tools, "click", at(600, 600)), false);
  assert.equal(ask(tools, "release", at(600, 600)), false);
});
