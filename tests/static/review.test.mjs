// Giving verdicts: which figure a key means, what comes next, what is taken back, and what the server's answers change.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Review } from "../../static/viewer/review.js";
import { inWords } from "../../static/viewer/review_panel.js";
import { emptyScene } from "../../static/viewer/scene.js";
import { Undo } from "../../static/viewer/undo.js";
import { failure, figure, settled, Shelf, storeOf } from "./fakes.mjs";

const PLACES = [
  [100, 100, 0.9],
  [300, 100, 0.8],
  [500, 100, 0.6],
  [700, 100, 0.4],
];

/** A review of PLACES; the server keeps what it is sent unless `answer` says otherwise. */
function reviewOf({ answer, storage = new Shelf(), filter = "all", figures = [] } = {}) {
  const store = storeOf(PLACES);
  const undo = new Undo();
  const told = { said: [], looked: [], judged: 0, sent: [], shown: null, saved: null, listed: [] };
  const panel = {
    order: "score",
    filter,
    list: (spots) => (told.listed = [...spots]),
    show: (position, length) => (told.shown = [position, length]),
    reveal: () => {},
    preload: () => {},
    saved: (state) => (told.saved = state),
  };
  const judge = async (slide, run, entry) => {
    told.sent.push(entry);
    const { label, x, y, expected, local } = entry;
    const spot = store.nearestCandidate(x, y, 1);
    const candidate = spot < 0 ? null : 1000 + spot;
    const id = local.startsWith("new") ? `s${told.sent.length}` : local;
    return answer?.(entry) ?? figure(id, label, { x, y, version: expected + 1, candidate, added: candidate === null });
  };
  const server = { judge, figures: async () => ({ version: 1, results: figures }) };
  const review = new Review({
    config: { slide: "a", run: "b", person: "alice", mpp: [0.25, 0.25], matchUm: 7.5 },
    store,
    panel,
    undo,
    storage,
    server,
    scene: emptyScene(),
    stage: { closeUp: (x, y) => told.looked.push([x, y]) },
    say: (words, kind = "") => told.said.push([words, kind]),
    judged: () => told.judged++,
  });
  return { review, store, undo, told, panel, figures };
}

test("J goes through the list and stays at its end; nothing is judged before a figure is chosen", async () => {
  const { review, store, told } = reviewOf();
  await review.start();
  review.judge("mitotic");
  assert.match(told.said[0][0], /Choose a figure first/);
  review.step(1);
  assert.deepEqual([store.selected, told.shown, told.looked.at(-1)], [0, [0, 3], [100, 100]]);
  for (let i = 0; i < 5; i++) review.step(1);
  assert.equal(store.selected, 2); // the fourth lies under the threshold
  review.step(-1);
  assert.equal(store.selected, 1);
});

test("a verdict shows at once, is sent, and the next figure is chosen", async () => {
  const { review, store, told } = reviewOf();
  await review.start();
  review.step(1);
  review.judge("non_mitotic");
  assert.deepEqual([store.label(0), store.figure(0).pending, store.selected], ["non_mitotic", true, 1]);
  await settled();
  assert.deepEqual([told.sent.length, store.figure(0).pending, told.judged], [1, undefined, 1]);
  assert.deepEqual(told.said.at(-1), ["Not a mitotic figure. Z takes it back.", ""]);
  assert.equal(told.saved.waiting, 0);
});

test("where a filter takes the judged one away, what comes next stands where it stood", async () => {
  const { review, store, told } = reviewOf({ filter: "open" });
  await review.start();
  review.step(1);
  review.judge("mitotic");
  assert.deepEqual([told.listed, store.selected], [[1, 2], 1]);
});

test("a step back gives the verdict from before, and an added figure goes", async () => {
  const { review, store, undo, told } = reviewOf();
  await review.start();
  review.step(1);
  review.judge("mitotic");
  await settled();
  review.select(0);
  review.judge("unsure");
  await settled();
  assert.equal(await undo.back(), "Unsure at 100, 100");
  await settled();
  assert.deepEqual([store.label(0), store.selected], ["mitotic", 0]);
  review.add(900, 900);
  await settled();
  assert.deepEqual([store.numbers().added, store.selected], [1, 4]);
  await undo.back();
  await settled();
  assert.deepEqual([store.numbers().added, store.selected, store.label(4)], [0, -1, ""]);
  assert.deepEqual(
    told.sent.map(({ label, expected }) => [label, expected]),
    [
      ["mitotic", 0],
      ["unsure", 1],
      ["mitotic", 2],
      ["mitotic", 0],
      ["", 1],
    ],
  );
});

test("a figure added within the matching radius of a candidate is that candidate", async () => {
  const { review, store, told } = reviewOf();
  await review.start();
  review.add(729, 100); // 7.25 um from the fourth, which the threshold hides
  assert.deepEqual([store.label(3), store.selected, store.numbers().added], ["mitotic", 3, 0]);
  assert.match(told.said.at(-1)[0], /There was a candidate here already/);
  review.add(731, 300);
  assert.equal(store.selected, 4);
});

test("a conflict shows what holds, says what was said, and leaves nothing to take back", async () => {
  const holds = figure("s9", "mitotic", { x: 100, y: 100, candidate: 1000, version: 1 });
  const { review, store, undo, told } = reviewOf({
    answer: () => {
      throw failure(409, { figure: holds });
    },
  });
  await review.start();
  review.step(1);
  review.judge("non_mitotic");
  await settled();
  assert.deepEqual([store.label(0), store.selected, store.figure(0).id], ["mitotic", 0, "s9"]);
  assert.deepEqual(told.said.at(-1), ["status 409 You said: not a mitotic figure.", "warn"]);
  assert.equal(await undo.back(), "");
  assert.equal(told.judged, 1);
});

test("a refused verdict goes and the reason is shown", async () => {
  const { review, store, told } = reviewOf({
    answer: () => {
      throw failure(400);
    },
  });
  await review.start();
  review.step(1);
  review.judge("mitotic");
  await settled();
  assert.deepEqual([store.label(0), told.said.at(-1)], ["", ["status 400", "warn"]]);
});

test("what an earlier visit could not send is shown and sent", async () => {
  const storage = new Shelf();
  let away = true;
  const answer = () => {
    if (away) throw failure(0);
  };
  const first = reviewOf({ storage, answer });
  await first.review.start();
  first.review.step(1);
  first.review.judge("unsure");
  await settled();
  assert.equal(first.told.saved.waiting, 1);
  first.review.queue.stop();
  away = false;
  const { review, store, told } = reviewOf({ storage, answer });
  await review.start();
  assert.equal(store.label(0), "unsure");
  await settled();
  assert.deepEqual([told.sent.length, told.saved.waiting, store.figure(0).pending], [1, 0, undefined]);
});

test("what others say shows at the next look, and what is counted is asked for anew", async () => {
  const { review, store, told, figures } = reviewOf();
  await review.start();
  assert.equal(told.judged, 0);
  figures.push(figure("s1", "non_mitotic", { candidate: 1001 }));
  await review.refreshFigures();
  assert.deepEqual([store.label(1), told.judged], ["non_mitotic", 1]);
});

test("the page says whether verdicts are saved, and why not", () => {
  const line = (waiting, status = null, stored = true) =>
    inWords({ waiting, stored, error: status === null ? null : failure(status) });
  assert.equal(line(0), "All verdicts are saved.");
  assert.equal(line(2), "Saving 2 verdicts …");
  assert.match(line(1, 503), /^The server does not answer. 1 verdict waits in this browser and is sent as soon/);
  assert.match(line(2, 0, false), /2 verdicts wait in this tab, which must stay open, and are sent/);
  assert.match(line(1, 403), /^You are signed out. 1 verdict waits in this browser: sign in again/);
});

test("added, taken back and added again at one place: one figure, and no conflict with oneself", async () => {
  const { review, store, undo, told } = reviewOf();
  await review.start();
  review.add(900, 900);
  await settled();
  await undo.back();
  await settled();
  assert.equal(store.numbers().added, 0);
  review.add(903, 900);
  await settled();
  assert.deepEqual(
    told.sent.map(({ label, expected, local }) => [label, expected, local.startsWith("new")]),
    [
      ["mitotic", 0, true],
      ["", 1, false],
      ["mitotic", 2, false],
    ],
  );
  assert.deepEqual([store.numbers().added, store.spots], [1, PLACES.length + 1]);
});

test("the review of the hotspot begins with its first figure that nobody has judged", async () => {
  const { review, store, told, panel } = reviewOf({ figures: [figure("a", "mitotic", { candidate: 1001 })] });
  await review.start();
  panel.filter = "hotspot";
  review.startHotspot();
  assert.deepEqual([store.selected, told.listed], [0, [0, 1, 2]]);
  review.judge("mitotic");
  review.select(-1);
  review.startHotspot();
  assert.equal(store.selected, 2);
  review.judge("non_mitotic");
  review.startHotspot();
  assert.match(told.said.at(-1)[0], /Every figure in the hotspot has a verdict/);
});
