// The marks on the slide, drawn once each and stamped from then on. Shape says what colour says.

import { colourOf } from "./colours.js";

/** @import { Point } from "./geometry.js" */
/** @typedef {Exclude<import("./colours.js").Mark, "selected" | "hotspot" | "field">} Stamp */

const HALO = "#ffffff";
/** @type {Point[]} */
const DIAMOND = [
  [0, -1.25],
  [1.25, 0],
  [0, 1.25],
  [-1.25, 0],
];
/** @type {Point[]} */
const TRIANGLE = [
  [0, -1.4],
  [1.25, 0.8],
  [-1.25, 0.8],
];
/** @type {Map<string, ImageBitmap>} */
const made = new Map();

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Stamp} kind
 * @param {number} radius screen px
 * @param {number} ratio device pixels per screen px
 * @param {number} x screen px
 * @param {number} y
 */
export function stamp(context, kind, radius, ratio, x, y) {
  const sprite = made.get(kind + radius + ratio) ?? make(kind, radius, ratio);
  const side = sprite.width / ratio;
  context.drawImage(sprite, x - side / 2, y - side / 2, side, side);
}

/** @param {Stamp} kind @param {number} radius @param {number} ratio */
function make(kind, radius, ratio) {
  if (made.size > 60) made.clear();
  const half = Math.ceil(radius * 1.5 + 5);
  const canvas = new OffscreenCanvas(2 * half * ratio, 2 * half * ratio);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser draws no marks.");
  context.setTransform(ratio, 0, 0, ratio, half * ratio, half * ratio);
  const path = outline(kind, radius);
  const thin = radius < 6;
  context.strokeStyle = HALO;
  context.lineWidth = thin ? 3.5 : 5;
  context.stroke(path);
  context.strokeStyle = colourOf(kind);
  context.lineWidth = thin ? 1.8 : 2.4;
  if (kind === "unjudged" && !thin) context.setLineDash([radius * 0.55, radius * 0.32]); // an open ring
  context.stroke(path);
  const sprite = canvas.transferToImageBitmap(); // stamping a bitmap is cheaper than stamping a canvas
  made.set(kind + radius + ratio, sprite);
  return sprite;
}

/** @param {Stamp} kind @param {number} r */
function outline(kind, r) {
  const path = new Path2D();
  if (kind === "non_mitotic") path.rect(-r * 0.9, -r * 0.9, 1.8 * r, 1.8 * r);
  else if (kind === "unsure") polygon(path, DIAMOND, r);
  else if (kind === "other") polygon(path, TRIANGLE, r);
  else if (kind === "only") for (const turn of [0.25, 0.75, 1.25, 1.75]) tick(path, turn * Math.PI, r);
  else path.arc(0, 0, r, 0, 2 * Math.PI);
  return path;
}

/** @param {Path2D} path @param {Point[]} corners @param {number} r */
function polygon(path, corners, r) {
  corners.forEach(([x, y], i) => (i ? path.lineTo(x * r, y * r) : path.moveTo(x * r, y * r)));
  path.closePath();
}

/** @param {Path2D} path @param {number} angle @param {number} r */
function tick(path, angle, r) {
  path.moveTo(Math.cos(angle) * r * 1.1, Math.sin(angle) * r * 1.1);
  path.lineTo(Math.cos(angle) * r * 1.5, Math.sin(angle) * r * 1.5);
}
