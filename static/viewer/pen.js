// Lines, knobs and words on the canvas: each with a white halo, so that they are seen on any tissue.

/** @import { Point } from "./geometry.js" */
/** @typedef {CanvasRenderingContext2D} Context */

const HALO = "#ffffff";

/**
 * @param {Context} context
 * @param {Path2D} path
 * @param {string} colour
 * @param {number[]} dash
 * @param {number} [width]
 */
export function stroke(context, path, colour, dash, width = 2.2) {
  context.lineJoin = "round";
  context.setLineDash([]);
  context.strokeStyle = HALO;
  context.lineWidth = width + 2.4;
  context.stroke(path);
  context.setLineDash(dash);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke(path);
  context.setLineDash([]);
}

/** @param {Context} context @param {Point} place @param {number} radius @param {string} colour */
export function knob(context, [x, y], radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = HALO;
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.stroke();
}

/** @param {Context} context @param {string} text @param {number} x @param {number} y @param {string} colour */
export function write(context, text, x, y, colour) {
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.lineWidth = 4;
  context.strokeStyle = HALO;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

/**
 * Stripes inside a path, so that it is known without its colour.
 * @param {Context} context
 * @param {Path2D} path
 * @param {string} colour
 */
export function hatch(context, path, colour) {
  context.save();
  context.clip(path);
  context.beginPath();
  const { width, height } = context.canvas;
  for (let x = -height; x < width; x += 14) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.globalAlpha = 0.35;
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.stroke();
  context.restore();
}

/** A path through points. @param {Point[]} points @param {boolean} closed */
export function pathOf(points, closed) {
  const path = new Path2D();
  points.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
  if (closed) path.closePath();
  return path;
}
