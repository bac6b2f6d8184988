// Line plots as SVG, drawn from JSON.

import { make } from "../viewer/dom.js";

/** @typedef {[x: number, y: number]} Point */
/** @typedef {{name: string, points: Point[], ring?: Point}} Line  ring: a point to be marked */
/** @typedef {{x: string, y: string, log?: boolean, xRange?: Point, yRange?: Point}} Axes  ranges: from, to */
/** @typedef {(value: number) => number} Scale  value -> px */

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 560;
const HEIGHT = 220;
const LEFT = 48;
const BOTTOM = HEIGHT - 28;
const TOP = 8;
const RIGHT = WIDTH - 8;
const FEW = 30; // points of a line that are dotted

/** @param {Element} place is emptied and filled @param {Line[]} lines @param {Axes} axes */
export function plot(place, lines, axes) {
  const shown = lines.map((line) => ({ ...line, points: line.points.filter(([, y]) => !axes.log || y > 0) }));
  const all = shown.flatMap((line) => line.points);
  if (!all.length) return place.replaceChildren("Nothing has been measured yet.");
  const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
  const [x0, x1] = axes.xRange ?? [0, Math.max(...xs)];
  const bend = axes.log ? Math.log10 : Number;
  const [y0, y1] = (axes.yRange ?? [Math.min(...ys), Math.max(...ys)]).map(bend);
  /** @type {Scale} */
  const toX = (x) => LEFT + ((x - x0) / (x1 - x0 || 1)) * (RIGHT - LEFT);
  /** @type {Scale} */
  const toY = (y) => BOTTOM - ((bend(y) - y0) / (y1 - y0 || 1)) * (BOTTOM - TOP);
  const svg = node("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    class: "plot",
    role: "img",
    "aria-label": `${axes.y} by ${axes.x}`,
  });
  for (const part of [0, 0.5, 1]) {
    const y = y0 + part * (y1 - y0);
    svg.append(...ticks(part, x0 + part * (x1 - x0), axes.log ? 10 ** y : y));
  }
  svg.append(...titles(axes), ...shown.flatMap((line, number) => drawn(line, number, toX, toY)));
  const keys = shown.map((line, number) => make("span", { className: `key line-${number}` }, line.name));
  place.replaceChildren(svg, make("p", { className: "legend small" }, ...keys));
}

/**
 * A line of the grid and the values on the axes there.
 * @param {number} part of the axes
 * @param {number} x
 * @param {number} y
 */
function ticks(part, x, y) {
  const [across, up] = [LEFT + part * (RIGHT - LEFT), BOTTOM - part * (BOTTOM - TOP)];
  return [
    node("line", { x1: LEFT, x2: RIGHT, y1: up, y2: up, class: "grid" }),
    node("text", { x: LEFT - 6, y: up + 4, "text-anchor": "end" }, short(y)),
    node("text", { x: across, y: BOTTOM + 16, "text-anchor": part === 1 ? "end" : "middle" }, short(x)),
  ];
}

/** What the axes are. @param {Axes} axes */
function titles({ x, y }) {
  const middle = (TOP + BOTTOM) / 2;
  return [
    node("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 1, "text-anchor": "middle", class: "axis" }, x),
    node("text", { x: 10, y: middle, "text-anchor": "middle", transform: `rotate(-90 10 ${middle})` }, y),
  ];
}

/** @param {Line} line @param {number} number @param {Scale} toX @param {Scale} toY */
function drawn({ points, ring }, number, toX, toY) {
  const path = points.map(([x, y]) => `${toX(x).toFixed(1)},${toY(y).toFixed(1)}`).join(" ");
  /** @param {Point} point @param {number} r @param {string} kind */
  const circle = ([x, y], r, kind) => node("circle", { cx: toX(x), cy: toY(y), r, class: `${kind} line-${number}` });
  const dots = points.length < FEW ? points.map((point) => circle(point, 2.5, "dot")) : [];
  const rings = ring ? [circle(ring, 6, "line")] : [];
  return [node("polyline", { points: path, class: `line line-${number}` }), ...dots, ...rings];
}

/** @param {string} name @param {Record<string, string | number>} attributes @param {string} [text] */
function node(name, attributes, text = "") {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(text);
  return made;
}

/** A value as it stands at an axis. @param {number} value */
export function short(value) {
  const size = Math.abs(value);
  if (size && (size < 0.01 || size >= 100000)) return value.toExponential(0);
  return size >= 100 ? value.toFixed(0) : String(Number(value.toFixed(size < 1 ? 2 : 1)));
}
