// What is drawn on the slide beside the candidates and figures of the store.

/** @import { Found } from "./api.js" */
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
/**
 * @typedef {object} Scene
 * @property {boolean} hidden
 * @property {boolean} points never a heatmap
 * @property {(Outline & {say: string})[]} hotspots the best first; of ten fields all
 * @property {Field | null} field
 * @property {OtherRun | null} other
 * @property {Draft | null} draft
 * @property {string | null} region id of the chosen one
 */

/** @returns {Scene} */
export const emptyScene = () => ({
  hidden: false,
  points: false,
  hotspots: [],
  field: null,
  other: null,
  draft: null,
  region: null,
});
