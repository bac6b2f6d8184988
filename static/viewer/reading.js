// What a slide page with a run has beside the slide: review, threshold, hotspots, another run, files.

import * as api from "./api.js";
import { at, onClick, sentenceOf } from "./dom.js";
import { startFiles } from "./files.js";
import { Review } from "./review.js";
import { ReviewPanel } from "./review_panel.js";
import { Runs } from "./runs.js";
import { startScreening } from "./screening_panel.js";
import { AddTool } from "./tools/add.js";
import { HotspotTool } from "./tools/hotspot.js";
import { SelectTool } from "./tools/select.js";
import { ThresholdTool } from "./tools/threshold.js";
import { some } from "./words.js";

/** @import { Columns } from "./columns.js" */
/** @import { RunConfig } from "./config.js" */
/** @import { Numbers } from "./numbers.js" */
/** @import { Overlay } from "./overlay.js" */
/** @import { RegionPanel } from "./region_panel.js" */
/** @import { Scene } from "./scene.js" */
/** @import { Reading } from "./shortcuts.js" */
/** @import { Stage } from "./stage.js" */
/** @import { Store } from "./store.js" */
/** @import { Say } from "./toast.js" */
/** @import { Position } from "./tools/tool.js" */
/** @import { Undo } from "./undo.js" */

const POLL = 4000; // ms between two looks at what others said

/**
 * @typedef {object} Page
 * @property {RunConfig} config
 * @property {Store} store
 * @property {Stage} stage
 * @property {Scene} scene
 * @property {Overlay} overlay
 * @property {Undo} undo
 * @property {Numbers} numbers
 * @property {RegionPanel} regions
 * @property {() => Position | null} pointer
 * @property {Say} say
 */

/**
 * @param {Page} page
 * @returns {Reading & {begin: (columns: Columns) => Promise<void>}} begin: the candidates are here
 */
export function startReading({ config, store, stage, scene, overlay, undo, numbers, regions, pointer, say }) {
  const panel = new ReviewPanel(config, store, {
    choose: (spot) => review.select(spot),
    judge: (label, atypical) => review.judge(label, atypical),
    arrange: () => review.list(),
    startHotspot: () => review.startHotspot(),
  });
  const judged = () => {
    numbers.update();
    screening.outdated();
  };
  const screening = startScreening({ config, stage, scene, numbers, say, changed: () => overlay.update() });
  const parts = { config, store, panel, stage, scene, undo, say, judged, screens: () => screening.active };
  const review = new Review({ ...parts, storage: localStorage, server: api });
  const runs = new Runs(config, store, scene, {
    changed: () => overlay.update(),
    go: (x, y) => stage.closeUp(x, y),
    say,
  });
  const settled = () => {
    review.list();
    runs.update().catch((error) => say(sentenceOf(error), "warn"));
  };
  const threshold = new ThresholdTool(store, config.floor, judged, settled);
  const hotspot = new HotspotTool(stage, scene, say);
  const add = new AddTool(stage, pointer, (x, y) => review.add(x, y), say);
  stage.tools.push(add, new SelectTool(stage, store, (spot) => review.select(spot, false)));

  const [context, hotspotFirst] = [() => panel.toggleContext(), () => panel.startHotspot()];
  const link = at("report-link");
  const report = () => link.click();
  const whenSaved = (/** @type {Event} */ event) => {
    const waiting = review.queue.waiting.length;
    if (!waiting) return;
    event.preventDefault(); // it would be signed, or done, without them
    event.stopPropagation();
    say(`${some(waiting, "verdict")} on the way to the server: wait until all are saved.`, "warn");
  };
  for (const one of [link, document.getElementById("reading-done")]) one?.addEventListener("click", whenSaved);
  const takeBack = async () => {
    try {
      const what = await undo.back();
      say(what ? `Taken back: ${what}.` : "There is nothing to take back on this page.", what ? "" : "warn");
    } catch (error) {
      say(sentenceOf(error), "warn");
    }
    numbers.update();
  };
  onClick("context", context);
  onClick("undo", takeBack);
  startFiles(at("files"), config.slide, {
    asked: () => numbers.question(),
    taken: async () => {
      await Promise.all([regions.load(), review.refreshFigures()]);
      numbers.update();
    },
  });
  let counted = store.revision;
  store.observe(() => {
    review.update();
    numbers.recount();
    if (counted !== store.revision) screening.outdated();
    counted = store.revision;
  });
  numbers.moved = () => (review.hotspotMoved(), screening.outdated());
  addEventListener("online", () => review.queue.flush());

  const begin = async (/** @type {Columns} */ columns) => {
    store.load(columns);
    overlay.draw();
    performance.mark("all candidates are drawn");
    setTimeout(() => store.prepare());
    await review.start();
    if (config.atypical) tellAtypical(config, store);
    setInterval(() => document.hidden || review.refreshFigures(), POLL);
    threshold.activate();
    document.body.dataset.candidates = String(columns.n);
  };
  return { review, add, hotspot, threshold, screening, context, takeBack, hotspotFirst, report, begin };
}

/** Say of the candidates how likely they are atypical, when that is here. @param {RunConfig} config @param {Store} store */
async function tellAtypical(config, store) {
  store.atypical = await api.atypical(config.slide, config.run).catch(() => new Map());
  store.changed();
}
