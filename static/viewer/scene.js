// What is drawn on the slide beside the candidates and figures of the store.

import { inOutline } from "./geometry.js";

/** @import { Found } from "./api.js" */
/** @import { Cells } from "./cells.js" */
/** @import { Columns } from "./columns.js" */
/** @import { Outline, Point, RegionKind } from "./geometry.js" */

/**
 * @typedef {object} OtherRun  a second run over the first one
 * @property {string} run
 * @property {Columns} columns
 * @property {number} visible how many of them are over the threshold
 * @property {Found[]} only what the first run alone has found
 * @property {Found[]} onlyOther
 */
/** @typedef {{kind: RegionKind, polygon: Point[], closed: boolean}} Draft  a region that is being drawn or changed */
/** @typedef {Outline & {areaMm2: number, say: string}} Field  an outline of known area, and what is counted in it */
/** @typedef {{cells: Cells, field: Outline & {say: string}}} Screened  what has been seen, and the field that is shown */
/**
 * @typedef {object} Scene
 * @property {boolean} hidden
 * @property {boolean} points never a heatmap
 * @property {(Outline & {say: string, first: boolean})[]} hotspots the best first; of ten fields all; first: of the best
 * @property {boolean} glass whether what is glass is drawn
 * @property {Field | null} field
 * @property {OtherRun | null} other
 * @property {Screened | null} screening
 * @property {{points: Point[], say: string} | null} ruler
 * @property {Draft | null} draft
 * @property {string | null} region id of the chosen one
 */

/**
 * Whether a place lies in the best hotspot; where none is outlined all that is evaluable is counted.
 * @param {Scene} scene
 * @param {number} x level-0 px
 * @param {number} y
 */
export function inHotspot({ hotspots }, x, y) {
  return !hotspots.length || hotspots.some((one) => one.first && inOutline(one, x, y));
}

/** @returns {Scene} */
export const emptyScene = () => ({
  hidden: false,
  points: false,
  hotspots: [],
  glass: false,
  field: null,
  other: null,
  screening: null,
  ruler: null,
  draft: null,
  region: null,
});
