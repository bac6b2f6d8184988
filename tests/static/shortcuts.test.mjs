// The table of keys: complete, without a key twice, and each key does what the sheet says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOf, signOf } from "../../static/viewer/keys.js";
import { shortcuts } from "../../static/viewer/shortcuts.js";

/** Something that notes what is asked of it, and answers true. */
function noting(name, calls) {
  return new Proxy(
    {},
    {
      get:
        (_, method) =>
        (...given) => (calls.push([`${name}.${String(method)}`, ...given]), true),
    },
  );
}

function pageOf() {
  const calls = [];
  const looking = Object.fromEntries(
    ["stage", "view", "field", "ruler", "region"].map((name) => [name, noting(name, calls)]),
  );
  const tools = ["review", "add", "hotspot", "threshold", "screening"].map((name) => [name, noting(name, calls)]);
  const { context, takeBack } = noting("page", calls);
  const table = shortcuts(looking, { ...Object.fromEntries(tools), context, takeBack });
  /** What a key does. */
  const press = (key, shiftKey = false) => {
    const name = nameOf({ key, shiftKey });
    calls.length = 0;
    table.find(({ keys }) => keys.includes(name)).run(name);
    return calls;
  };
  return { table, press, looking };
}

test("no key is there twice, and each has words and a group", () => {
  const { table } = pageOf();
  const keys = table.flatMap((row) => row.keys);
  assert.equal(new Set(keys).size, keys.length);
  for (const { group, say } of table) assert.ok(group && say);
  assert.deepEqual([...new Set(table.map(({ group }) => group))], ["Review", "Slide", "Overlays", "Regions", "Page"]);
});

test("keys do what the sheet says", () => {
  const { press } = pageOf();
  assert.deepEqual(press("j"), [["review.step", 1]]);
  assert.deepEqual(press("N"), [["review.judge", "non_mitotic"]]);
  assert.deepEqual(press("z"), [["page.takeBack", "z"]]);
  assert.deepEqual(press("["), [["threshold.key", "["]]);
  assert.deepEqual(press("7"), [["stage.magnify", 0.5]]); // 20x
  assert.deepEqual(press("ArrowUp"), [["stage.panBy", 0, -0.2]]);
  assert.deepEqual(press("ArrowUp", true), [["field.key", "Shift+ArrowUp"]]);
  assert.deepEqual(press("R", true), [["view.turn", -1]]);
  assert.deepEqual(press(" "), [["region.cornerInTheMiddle"]]);
  assert.deepEqual(press("q"), [["stage.back"]]);
  assert.deepEqual(press("w"), [["ruler.toggle"]]);
  assert.deepEqual(press("e"), [["screening.toggle"]]);
  assert.deepEqual(press("Escape"), [["region.deactivate"], ["ruler.deactivate"], ["add.deactivate"]]);
});

test("without a run there is nothing to judge", () => {
  const { looking } = pageOf();
  const table = shortcuts(looking, null);
  assert.ok(table.every(({ group }) => group !== "Review"));
  assert.equal(
    table.find(({ keys }) => keys.includes("t")),
    undefined,
  );
});

test("keys are named by what they say, and shown as on a keyboard", () => {
  const named = (key, shiftKey = false) => nameOf({ key, shiftKey });
  assert.deepEqual(
    [named("J"), named("R", true), named("?", true), named("ArrowUp", true)],
    ["j", "Shift+r", "?", "Shift+ArrowUp"],
  );
  assert.deepEqual(["j", "Shift+r", "Shift+ArrowUp", " ", "Escape", "["].map(signOf), [
    "J",
    "Shift R",
    "Shift ↑",
    "Space",
    "Esc",
    "[",
  ]);
});
