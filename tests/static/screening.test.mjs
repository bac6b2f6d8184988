// Screening: the path through the fields, and exactly what is seen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cells } from "../../static/viewer/cells.js";
import { lengthOf, screeningPath } from "../../static/viewer/screening_path.js";

/** Fields by a picture: a letter is to be seen. */
function fieldsOf(...rows) {
  return [[...rows.join("")].map((sign) => Number(sign !== ".")), rows[0].length, rows.length];
}

/** How far each step of a path goes, in fields. */
function steps(path, columns) {
  const away = (a, b) =>
    Math.max(Math.abs((a % columns) - (b % columns)), Math.abs(Math.floor(a / columns) - Math.floor(b / columns)));
  return path.slice(1).map((field, i) => away(path[i], field));
}

test("a rectangle is read to and fro, without a jump", () => {
  const [wanted, columns, rows] = fieldsOf("xxx", "xxx", "xxx");
  assert.deepEqual(screeningPath(wanted, columns, rows), [0, 1, 2, 5, 4, 3, 6, 7, 8]);
});

test("each field comes once, whatever the outline", () => {
  for (let seed = 1; seed < 200; seed++) {
    const [columns, rows] = [1 + ((seed * 7) % 11), 1 + ((seed * 5) % 9)];
    const wanted = Array.from({ length: columns * rows }, (_, i) => Number(Math.sin(seed * 97 + i * i * 31) > -0.3));
    const path = screeningPath(wanted, columns, rows);
    const all = wanted.flatMap((is, i) => (is ? [i] : []));
    assert.deepEqual(
      [...path].sort((a, b) => a - b),
      all,
    );
  }
});

/** Fields of an outline. @param {(x: number, y: number) => boolean} within */
const outline = (columns, rows, within) => [
  Array.from({ length: columns * rows }, (_, i) => Number(within(i % columns, Math.floor(i / columns)))),
  columns,
  rows,
];

test("tissue of one piece is read without a jump, and two pieces with one", () => {
  const shapes = {
    circle: outline(30, 30, (x, y) => Math.hypot(x - 15, y - 15) < 14),
    ellipse: outline(80, 18, (x, y) => ((x - 39.5) / 40) ** 2 + ((y - 8.5) / 9) ** 2 < 1),
    stem: outline(41, 21, (x, y) => y >= 15 || (x > 17 && x < 23)),
    arch: outline(30, 20, (x, y) => x < 8 || x > 21 || y > 13),
    hotspot: outline(7, 6, (x, y) => Math.hypot(x - 3, y - 2.5) < 3.4),
  };
  for (const [name, [wanted, columns, rows]] of Object.entries(shapes)) {
    const path = screeningPath(wanted, columns, rows);
    assert.equal(lengthOf(path, columns), path.length - 1, name);
  }
  const [wanted, columns, rows] = outline(41, 20, (x, y) =>
    [9.5, 30.5].some((middle) => Math.hypot(x - middle, y - 9.5) < 9),
  );
  const far = steps(screeningPath(wanted, columns, rows), columns).filter((step) => step > 1);
  assert.equal(far.length, 1);
});

test("around a hole each side is read by itself", () => {
  const [wanted, columns, rows] = fieldsOf("xxxxxxx", "xx...xx", "xx...xx", "xxxxxxx");
  const path = screeningPath(wanted, columns, rows);
  assert.equal(path.length, 22);
  assert.ok(steps(path, columns).filter((step) => step > 2).length <= 2);
});

/** A slide of 40 x 20 cells of 10 px, on which all but the last column is evaluable. */
function cellsOf() {
  const bytes = new Uint8Array(100);
  for (let i = 0; i < 800; i++) if (i % 40 !== 39) bytes[i >> 3] |= 128 >> (i & 7);
  const base64 = (data) => btoa(String.fromCharCode(...data));
  const coverage = { columns: 40, rows: 20, evaluable: base64(bytes), cells: base64(new Uint8Array(100)) };
  return new Cells({ ...coverage, um_per_px: 0.3, seconds: 1 }, { width: 400, height: 200 });
}

test("bits are read in the order in which the server writes them", () => {
  const cells = cellsOf();
  assert.deepEqual([...cells.evaluable.slice(36, 44)], [1, 1, 1, 0, 1, 1, 1, 1]);
  assert.equal(cells.share(), 0);
});

test("a cell is seen when its middle was shown for long enough, in parts too", () => {
  const cells = cellsOf();
  const look = (seconds) => cells.show([2, 0, 0, 2, -100, -40], [0, 0, 200, 80], [50, 20, 150, 60], seconds, 1);
  look(0.75);
  assert.equal(cells.share(), 0);
  look(0.25);
  assert.equal(Math.round(cells.share() * 780), 40); // 10 x 4
  assert.deepEqual(
    cells.take(100),
    [2, 3, 4, 5].map((row) => [row, 5, 15]),
  );
  assert.deepEqual(cells.take(100), []);
});

test("only some are to be seen, and what others of the page told is taken on", () => {
  const cells = cellsOf();
  cells.want((cell) => cell % 40 < 10);
  cells.show([1, 0, 0, 1, 0, 0], [0, 0, 400, 200], [0, 0, 50, 200], 1, 1);
  assert.equal(cells.share(), 0.5);
  assert.equal(Math.round(cells.shareOfAll() * 780), 100);
  const all = btoa(String.fromCharCode(...new Uint8Array(100).fill(255)));
  const coverage = { columns: 40, rows: 20, evaluable: all, cells: btoa("\0".repeat(100)) };
  assert.ok(cells.fits(coverage) && cells.waiting);
  cells.update(coverage);
  assert.equal(cells.share(), 100 / 800); // what is evaluable now; what was seen stays
});

test("a turned picture shows what lies in it, and no corner beside it", () => {
  const cells = cellsOf();
  const [c, s] = [Math.SQRT1_2, Math.SQRT1_2];
  cells.show(
    [c, s, -s, c, 50 - 200 * c + 100 * s, 50 - 200 * s - 100 * c],
    [0, 0, 100, 100],
    [129, 29, 271, 171],
    1,
    1,
  );
  let seen = 0;
  for (let cell = 0; cell < 800; cell++) {
    const [x, y] = cells.middle(cell);
    const [u, v] = [c * (x - 200) - s * (y - 100), s * (x - 200) + c * (y - 100)];
    assert.equal(Boolean(cells.seen[cell]), Math.abs(u) <= 50 && Math.abs(v) <= 50);
    seen += cells.seen[cell];
  }
  assert.ok(seen > 80);
});

test("what the server did not get is told again, and no more than it takes at once", () => {
  const cells = cellsOf();
  cells.show([1, 0, 0, 1, 0, 0], [0, 0, 400, 200], [0, 0, 400, 200], 1, 1);
  const runs = cells.take(3);
  assert.deepEqual(
    runs,
    [0, 1, 2].map((row) => [row, 0, 40]),
  );
  cells.giveBack(runs);
  assert.deepEqual(cells.take(100).length, 20);
});
