// Pages: which files make a slide, zips, sizes and numbers as people read them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { short } from "../../static/pages/plots.js";
import { slideSets } from "../../static/pages/slide-sets.js";
import { bytes } from "../../static/pages/upload-row.js";
import { zipped } from "../../static/pages/zip.js";
import { tallyInWords } from "../../static/viewer/numbers.js";
import { labelled, said, some } from "../../static/viewer/words.js";

const entry = (path, text = "") => ({ path, file: new File([text], path.split("/").at(-1)) });

test("slides that are sets of files are kept together, and what is no slide is counted", () => {
  const paths = [
    "x/a.svs",
    "x/b.mrxs",
    "x/b/Data0001.dat",
    "x/b/Slidedat.ini",
    "d/1.dcm",
    "d/2.dcm",
    "v/s.vms",
    "v/s.jpg",
  ];
  const { slides, others } = slideSets([...paths, "x/notes.txt", "x/.hidden.svs"].map((path) => entry(path)));
  const found = slides.map(({ name, entries }) => [name, entries.map(({ path }) => path)]);
  assert.deepEqual(found, [
    ["b.zip", ["x/b.mrxs", "x/b/Data0001.dat", "x/b/Slidedat.ini"]],
    ["d.zip", ["d/1.dcm", "d/2.dcm"]],
    ["v.zip", ["v/s.vms", "v/s.jpg"]],
    ["a.svs", ["x/a.svs"]],
  ]);
  assert.equal(others, 1);
});

test("a zip holds its files unchanged, with their checksums, and is the same each time", async () => {
  const files = [entry("b.dat", "123456789"), entry("a.txt", "hello")];
  let read = 0;
  const first = new Uint8Array(await (await zipped(files, (so) => (read = so))).arrayBuffer());
  const again = new Uint8Array(await (await zipped([...files].reverse(), () => {})).arrayBuffer());
  assert.deepEqual(first, again);
  assert.equal(read, 14);
  const text = Buffer.from(first).toString("latin1");
  assert.ok(text.indexOf("a.txt") < text.indexOf("b.dat"));
  assert.ok(text.includes("hello") && text.includes("123456789"));
  const header = text.lastIndexOf("PK\u0003\u0004");
  assert.equal(new DataView(first.buffer).getUint32(header + 14, true), 0xcbf43926); // CRC-32 of 123456789
});

test("sizes and values are short", () => {
  assert.deepEqual([0, 999, 16_777_216, 2.5e12].map(bytes), ["0 bytes", "999 bytes", "16.8 MB", "2500.0 GB"]);
  assert.deepEqual([0, 0.0007, 0.25, 12.34, 6500, 2e6].map(short), ["0", "7e-4", "0.25", "12.3", "6500", "2e+6"]);
});

test("verdicts and counts are said in one way", () => {
  assert.deepEqual(["", "mitotic", "non_mitotic", "unsure"].map(labelled), [
    "not judged",
    "mitotic figure",
    "not a mitotic figure",
    "unsure",
  ]);
  assert.deepEqual([said("non_mitotic"), said("")], ["Not a mitotic figure", "Taken back"]);
  assert.deepEqual([some(1, "verdict"), some(2000, "verdict")], ["1 verdict", "2,000 verdicts"]);
  const tally = { ai: 5, reviewed: 4, mitotic: 1, non_mitotic: 1, unsure: 0, added: 0, unseen: 3 };
  assert.equal(tallyInWords(tally), "2 judged: 1 mitotic, 1 not, 0 unsure · 3 open");
  assert.match(tallyInWords({ ...tally, added: 1 }), /0 unsure, 1 added · 3/);
  assert.match(tallyInWords({ ...tally, mitotic: 0, non_mitotic: 0 }), /^By AI alone/);
});
