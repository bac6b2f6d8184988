// Geometry, density, scale, undo: arithmetic that has one right answer.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Density, colour } from "../../static/viewer/density.js";
import { duration } from "../../static/viewer/duration.js";
import * as geometry from "../../static/viewer/geometry.js";
import { countBins } from "../../static/viewer/histogram.js";
import { Trail } from "../../static/viewer/trail.js";
import { Undo } from "../../static/viewer/undo.js";

const TURNED = [0, 2, -2, 0, 30, 40]; // turned by 90 degrees, twice as large

test("a transform and its inverse take a point there and back", () => {
  assert.deepEqual(geometry.apply(TURNED, 5, 7), [16, 50]);
  assert.deepEqual(geometry.apply(geometry.invert(TURNED), 16, 50), [5, 7]);
  assert.equal(geometry.scaleOf(TURNED), 2);
});

test("the box in view holds a turned screen", () => {
  assert.deepEqual(geometry.boxInView(TURNED, 100, 60), [-20, -35, 10, 15]);
});

test("inside and outside of a polygon with a notch", () => {
  const polygon = [
    [0, 0],
    [10, 0],
    [10, 10],
    [5, 4],
    [0, 10],
  ];
  assert.deepEqual(
    [
      [5, 2],
      [5, 6],
      [1, 5],
      [11, 5],
    ].map(([x, y]) => geometry.inPolygon(polygon, x, y)),
    [true, false, true, false],
  );
  // Shared with tests/webapp/results/test_roi.py.
  const cases = JSON.parse(readFileSync(new URL("../fixtures/polygons.json", import.meta.url), "utf-8"));
  for (const { name, polygon: drawn, inside, outside } of cases) {
    for (const corners of [drawn, drawn.toReversed()]) {
      assert.ok(
        inside.every(([x, y]) => geometry.inPolygon(corners, x, y)),
        `inside of ${name}`,
      );
      assert.ok(!outside.some(([x, y]) => geometry.inPolygon(corners, x, y)), `outside of ${name}`);
    }
  }
  assert.equal(geometry.distanceToEdge([0, 0], [10, 0], 5, 3), 3);
  assert.equal(geometry.distanceToEdge([0, 0], [10, 0], 13, 4), 5);
});

test("an outline has the area that it says, in px of any shape", () => {
  const circle = geometry.outlineOf("circle", Math.PI, [0.5, 0.25], 0, 0); // radius 1 mm
  assert.deepEqual([circle.side, circle.sideY], [4000, 8000]);
  assert.ok(
    geometry.inOutline(circle, 1999, 0) && !geometry.inOutline(circle, 2001, 0) && geometry.inOutline(circle, 0, 3999),
  );
  assert.equal(geometry.outlineOf("square", 4, [0.5, 0.5], 0, 0).side, 4000);
});

test("scale bars have round lengths, magnification is said as at a microscope", () => {
  assert.deepEqual(
    [0.02, 1, 4].map((perUnit) => geometry.roundLength(perUnit, 140)),
    [5000, 100, 20],
  );
  assert.deepEqual(
    [0.25, 0.5, 4, 64].map((um) => geometry.magnification(um)),
    ["40×", "20×", "2.5×", "0.16×"],
  );
  assert.equal(geometry.magnification(0.25, 0.5), "40×, enlarged from 20×");
  assert.equal(geometry.magnification(0.25, 0.2305), "40×");
});

test("a link to a place brings back the place", () => {
  const place = { x: 1234, y: 77, scale: 0.5, rotation: 90 };
  assert.deepEqual(geometry.placeFromHash(geometry.placeToHash(place, true), 0.25), place);
  assert.deepEqual(geometry.placeFromHash(geometry.placeToHash(place, false)), place);
  // um/px was entered in between: as large on the screen as before
  assert.equal(geometry.placeFromHash(geometry.placeToHash(place, false), 0.25).scale, 0.125);
  for (const hash of ["", "#x=1&y=2", "#x=a&y=2&scale=1", "#x=1&y=2&scale=0"])
    assert.equal(geometry.placeFromHash(hash), null);
});

test("a ruler says lengths and the area that it encloses", () => {
  const corners = [
    [0, 0],
    [400, 0],
    [400, 300],
  ];
  assert.equal(geometry.measured(corners.slice(0, 2), [0.25, 0.5]), "100 µm");
  assert.equal(geometry.measured(corners, [0.25, 0.5]), "250 µm · encloses 0.0075 mm²");
  assert.equal(geometry.measured([corners[0], [8000, 0]], [0.25, 0.25]), "2 mm");
  assert.equal(geometry.measured([], [0.25, 0.25]), "0 µm");
});

test("one goes back to where the view rested, not to every step on the way", () => {
  const trail = new Trail();
  const place = (x, scale = 1) => ({ x, y: 0, scale, rotation: 0 });
  for (const x of [0, 10, 20, 5000]) trail.visit(place(x), 1000, 0.25);
  trail.visit(place(5000, 0.25), 1000, 0.25);
  assert.deepEqual(trail.back(), place(5000));
  trail.visit(place(5000), 1000, 0.25);
  assert.deepEqual(trail.back(), place(20));
  trail.visit(place(20), 1000, 0.25);
  assert.equal(trail.back(), null);
});

test("density keeps the number of points and never says too few in a box", () => {
  const density = new Density(2560, 1280);
  const x = Float32Array.from({ length: 500 }, (_, i) => (i * 37) % 2560);
  const y = Float32Array.from({ length: 500 }, (_, i) => (i * 91) % 1280);
  density.fill(x, y, 400);
  assert.equal(
    density.counts.reduce((a, b) => a + b),
    400,
  );
  const box = [300, 200, 900, 700];
  const inside = [...x].filter((_, i) => i < 400 && x[i] >= 300 && x[i] <= 900 && y[i] >= 200 && y[i] <= 700).length;
  assert.ok(density.atMost(box) >= inside);
  assert.equal(density.atMost([0, 0, 2560, 1280]), 400);
  const { bytes, most } = density.picture();
  assert.equal(bytes.length, 4 * density.columns * density.rows);
  assert.ok(most > 0 && Math.max(...colour(1)) > Math.max(...colour(0.1)));
});

test("the histogram holds every score", () => {
  const bins = countBins(Float64Array.from([0.2, 0.21, 0.5, 0.999, 1, 0.1]), 0.2);
  assert.equal(
    bins.reduce((a, b) => a + b),
    6,
  );
  assert.equal(bins.at(-1), 2);
});

test("steps are taken back from the newest on; one that fails stays", async () => {
  const undo = new Undo();
  const done = [];
  let fails = true;
  undo.push({ say: "one", back: () => void done.push(1) });
  undo.push({
    say: "two",
    back: () => {
      if (fails) throw new Error("away");
      done.push(2);
    },
  });
  await assert.rejects(undo.back(), /away/);
  fails = false;
  assert.deepEqual([await undo.back(), await undo.back(), await undo.back(), done], ["two", "one", "", [2, 1]]);
});

test("a time that is left is said in what one waits in, rounded up", () => {
  assert.deepEqual([0.2, 40, 119.5, 121, 7199, 7500].map(duration), [
    "1 s",
    "40 s",
    "2 min",
    "3 min",
    "2 h 0 min",
    "2 h 5 min",
  ]);
});

test("how much of a patch at the rim is a mirror image", () => {
  const slide = { width: 1000, height: 800 };
  assert.deepEqual(
    [
      [500, 400],
      [0, 400],
      [1000, 800],
      [32, 400],
    ].map(([x, y]) => geometry.mirrorShare(x, y, slide, 128)),
    [0, 0.5, 0.75, 0.25],
  );
});
