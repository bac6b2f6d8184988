// Every key of the slide page, in one table: what is pressed, what it does, and what the `?` sheet says.

import { said } from "./words.js";

/** @import { Config } from "./config.js" */
/** @import { Point } from "./geometry.js" */
/** @import { RegionPanel } from "./region_panel.js" */
/** @import { Review } from "./review.js" */
/** @import { Screening } from "./screening.js" */
/** @import { Stage } from "./stage.js" */
/** @import { AddTool } from "./tools/add.js" */
/** @import { FieldTool } from "./tools/field.js" */
/** @import { HotspotTool } from "./tools/hotspot.js" */
/** @import { RegionTool } from "./tools/region.js" */
/** @import { RulerTool } from "./tools/ruler.js" */
/** @import { ThresholdTool } from "./tools/threshold.js" */
/** @import { View } from "./view.js" */

/**
 * @typedef {object} Shortcut
 * @property {string} group in which the sheet has it
 * @property {string[]} keys by name, see keys.js
 * @property {string} say
 * @property {boolean} [once] a key that is held is pressed once
 * @property {(name: string) => unknown} run false where there was nothing to do, so that the browser may
 */
/** @typedef {{stage: Stage, view: View, field: FieldTool, ruler: RulerTool, region: RegionTool, regions: Pick<RegionPanel, "showGlass">}} Looking  what every slide page has */
/**
 * @typedef {object} Reading  and one with a run
 * @property {Pick<Review, "step" | "judge">} review
 * @property {AddTool} add
 * @property {HotspotTool} hotspot
 * @property {ThresholdTool} threshold
 * @property {Pick<Screening, "toggle" | "next">} screening
 * @property {() => void} context
 * @property {() => void} takeBack
 * @property {() => void} hotspotFirst
 * @property {() => void} report
 */

/** @type {Record<string, number>} key -> um per screen px */
const SCALES = { 5: 2, 6: 1, 7: 0.5, 8: 0.25 };
/** @type {Record<string, Point>} key -> share of the view */
const PAN = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2], ArrowDown: [0, 0.2] };

// What changes something; not for who may look alone.
const CHANGES = new Set(["m", "y", "n", "u", "s", "z", "a", "e", "p", "x", " ", "Enter", "Backspace", "Delete"]);

/**
 * @param {Looking} looking
 * @param {Reading | null} reading
 * @param {Pick<Config, "mayJudge" | "atypical">} config
 * @returns {Shortcut[]}
 */
export function shortcuts(looking, reading, { mayJudge, atypical = false } = { mayJudge: true }) {
  const all = [...(reading ? readingKeys(reading, atypical) : []), ...lookingKeys(looking, reading)];
  return mayJudge ? all : all.filter(({ keys }) => !CHANGES.has(keys[0]));
}

/** @param {Reading} page @param {boolean} atypical whether the study tells such figures @returns {Shortcut[]} */
function readingKeys(page, atypical) {
  const { review, add, hotspot, threshold, screening, context, takeBack, hotspotFirst, report } = page;
  const kind = { keys: ["y"], once: true, say: "Atypical mitotic figure", run: () => review.judge("mitotic", true) };
  return [
    ...group("Review", [
      { keys: ["j"], say: "Next figure", run: () => review.step(1) },
      { keys: ["k"], say: "Previous figure", run: () => review.step(-1) },
      { keys: ["m"], once: true, say: said("mitotic"), run: () => review.judge("mitotic") },
      ...(atypical ? [kind] : []),
      { keys: ["n"], once: true, say: said("non_mitotic"), run: () => review.judge("non_mitotic") },
      { keys: ["u"], once: true, say: said("unsure"), run: () => review.judge("unsure") },
      { keys: ["v"], say: "Review the hotspot", run: hotspotFirst },
      { keys: ["s"], say: "Report and sign", run: report },
      { keys: ["z"], say: "Take back, as often as you like", run: takeBack },
      { keys: ["c"], say: "Context of the figure, or the figure alone", run: context },
      { keys: ["a"], say: "Add a missed figure under the pointer (or in the middle)", run: () => add.key() },
      { keys: ["[", "]"], say: "Threshold down, up", run: (name) => threshold.key(name) },
    ]),
    ...group("Slide", [
      { keys: ["t"], say: "Next hotspot", run: () => hotspot.activate() },
      { keys: ["e"], once: true, say: "Screen field by field: begin, stop", run: () => screening.toggle() },
    ]),
  ];
}

/** @param {Looking} page @param {Reading | null} reading @returns {Shortcut[]} */
function lookingKeys({ stage, view, field, ruler, region, regions }, reading) {
  const space = () => region.cornerInTheMiddle() || ruler.toTheMiddle() || (reading?.screening.next() ?? false);
  const giveUp = () => [region.deactivate(), ruler.deactivate(), reading?.add.deactivate()].includes(true);
  return [
    ...group("Slide", [
      { keys: Object.keys(PAN), say: "Move", run: (name) => stage.panBy(...PAN[name]) },
      { keys: ["+", "=", "-"], say: "Closer, farther", run: (name) => view.zoom(name === "-" ? -1 : 1) },
      { keys: ["q"], say: "Back to the place before", run: () => stage.back() },
      { keys: ["w"], say: "Ruler: lengths and areas", run: () => ruler.toggle() },
      { keys: ["0"], say: "Whole slide", run: () => stage.home() },
      { keys: Object.keys(SCALES), say: "5×, 10×, 20×, 40×", run: (name) => stage.magnify(SCALES[name]) },
      { keys: ["r", "Shift+r"], say: "Turn right, left", run: (name) => view.turn(name === "r" ? 1 : -1) },
      { keys: ["f"], say: "Full screen", run: () => view.fullScreen() },
      { keys: ["b"], say: "Brightness and contrast", run: () => view.light() },
      { keys: ["l"], say: "Copy a link to this place", run: () => view.copyLink() },
    ]),
    ...group("Overlays", [
      { keys: ["o"], say: "Hide or show all", run: () => view.hide() },
      { keys: ["d"], say: "Points always, or a heatmap where there are many", run: () => view.points() },
      { keys: ["g"], say: "What is measured as glass", run: () => regions.showGlass() },
      { keys: ["h"], say: "Outline of a field (HPF)", run: () => field.toggle() },
      { keys: Object.keys(PAN).map(withShift), say: "Move the outline", run: (name) => field.key(name) },
    ]),
    ...group("Regions", [
      { keys: ["p"], say: "Draw a tumour region", run: () => region.activate("tumour") },
      { keys: ["x"], say: "Draw an exclusion", run: () => region.activate("exclusion") },
      {
        keys: [" "],
        say: "Next field in screening; a corner of the region, or of the ruler, in the middle",
        run: space,
      },
      { keys: ["Enter"], say: "Close the region", run: () => region.finish() },
      { keys: ["Backspace"], say: "Take the last corner back", run: () => region.backspace() || ruler.backspace() },
      { keys: ["Delete"], say: "Remove the chosen region", run: () => region.remove() },
      { keys: ["Escape"], say: "Give up", run: giveUp },
    ]),
    ...group("Page", [
      { keys: ["\\"], say: "Hide or show the panel", run: () => view.panel() },
      { keys: ["?"], say: "This sheet", run: () => view.help() },
    ]),
  ];
}

/** @param {string} name @param {Omit<Shortcut, "group">[]} rows @returns {Shortcut[]} */
const group = (name, rows) => rows.map((row) => ({ group: name, ...row }));

/** @param {string} name */
const withShift = (name) => `Shift+${name}`;
