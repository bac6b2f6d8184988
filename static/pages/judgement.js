// The precision-recall curves of the two versions, over each other; a ring marks confidence 0.5.

import { at, maybeAt } from "../viewer/dom.js";
import { plot } from "./plots.js";

/** @typedef {{recall: number, precision: number}} Step */

/** @param {Step} step @returns {import("./plots.js").Point} */
const point = ({ recall, precision }) => [recall, precision];

const place = maybeAt("curves");
if (place) {
  /** @type {{name: string, points: Step[], at_half: Step}[]} */
  const curves = JSON.parse(at("curve-data").textContent);
  const lines = curves.map(({ name, points, at_half: half }) => ({
    name,
    points: points.map(point),
    ring: point(half),
  }));
  plot(place, lines, { x: "recall", y: "precision", xRange: [0, 1], yRange: [0, 1] });
}
