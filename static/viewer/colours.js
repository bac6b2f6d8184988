// The colours of what is drawn on the slide: static/css/base.css says them (--mark-mitotic, ...), for page and canvas.

/**
 * @typedef {import("./words.js").Verdict | "unjudged" | "other" | "only" | "selected" | "hotspot" | "field"} Mark
 * @typedef {import("./geometry.js").RegionKind} RegionKind
 */

/** @type {Map<string, string>} */
const read = new Map();

/** A colour as a canvas takes it. @param {Mark | RegionKind} mark */
export function colourOf(mark) {
  const known = read.get(mark);
  if (known) return known;
  const colour = getComputedStyle(document.documentElement).getPropertyValue(`--mark-${mark}`).trim();
  read.set(mark, colour);
  return colour;
}

/** @param {Mark | RegionKind} mark @returns {[r: number, g: number, b: number]} */
export function rgbOf(mark) {
  const all = parseInt(colourOf(mark).slice(1), 16);
  return [all >> 16, (all >> 8) & 255, all & 255];
}
