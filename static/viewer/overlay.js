// One canvas over OpenSeadragon for everything that is drawn on the slide, in the same frame as the tiles.

import { pictureOf } from "./cells.js";
import { colourOf, rgbOf } from "./colours.js";
import { pixels } from "./config.js";
import { Density } from "./density.js";
import { make } from "./dom.js";
import { apply, boxInView, scaleOf } from "./geometry.js";
import { stamp } from "./marks.js";
import { hatch, knob, pathOf, stroke, write } from "./pen.js";
import { whole } from "./words.js";

/** @import { Cells } from "./cells.js" */
/** @import { Box, Outline, Point, Transform } from "./geometry.js" */
/** @import { Draft, OtherRun, Scene, Screened } from "./scene.js" */
/** @import { Stage } from "./stage.js" */
/** @import { Store } from "./store.js" */

const RING_UM = 9; // radius of a ring: a mitotic figure and its cytoplasm
const SMALLEST = 3.5; // px on screen
const MOST = 5000; // points in one picture; highest confidence first, and the page says how many there are
const MARGIN = 128; // px around the view, drawn as well: moving the slide moves a picture instead of making one
const HEAT_FROM = 600; // points in view, where rings can get no smaller, from which a heatmap says more

const FAR = 1; // um per screen px, from which it is drawn what has not been seen
const FADED = 0.4; // where figures are not counted

const CORNERS = [
  [-1, -1],
  [1, -1],
  [1, 1],
  [-1, 1],
];

/**
 * @typedef {object} View  one picture
 * @property {CanvasRenderingContext2D} context
 * @property {number} ratio device pixels per screen px
 * @property {Transform} transform level-0 px -> px of the canvas
 * @property {number} width px of the canvas
 * @property {number} height
 * @property {number} radius of a ring, px
 * @property {Box} box level-0 px that are drawn
 */

export class Overlay {
  #stage;
  #canvas;
  #store;
  #scene;
  #say;
  #radius; // level-0 px
  #waiting = false;
  #density;
  /** @type {HTMLCanvasElement | null} */
  #heat = null;
  #heatOf = "";
  /** What has not been seen in screening. @type {{cells: Cells, version: number, picture: HTMLCanvasElement} | null} */
  #unseen = null;
  /** @type {Transform | null} of the picture that is in the canvas */
  #drawn = null;

  /**
   * @param {Stage} stage
   * @param {HTMLCanvasElement} canvas over the viewer and MARGIN beyond
   * @param {Store} store
   * @param {Scene} scene
   * @param {(words: string) => void} say what is shown and what is not
   */
  constructor(stage, canvas, store, scene, say) {
    this.#stage = stage;
    this.#canvas = canvas;
    this.#store = store;
    this.#scene = scene;
    this.#say = say;
    this.#radius = pixels(stage, RING_UM);
    this.#density = new Density(stage.width, stage.height);
    stage.viewer.canvas.append(canvas); // over the tiles, under the navigator
    canvas.style.inset = `${-MARGIN}px`;
    for (const event of /** @type {const} */ (["open", "resize", "animation-finish"])) {
      stage.viewer.addHandler(event, () => this.draw());
    }
    stage.viewer.addHandler("update-viewport", () => this.#follow());
    store.observe(() => this.update());
  }

  /** Draw with the next frame. */
  update() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.draw();
    });
  }

  /** Go where the slide goes: the picture is moved as long as it reaches, and made anew for another scale or turn. */
  #follow() {
    const transform = this.#stage.transform();
    const drawn = this.#drawn;
    if (!transform || !drawn) return this.draw();
    const { width, height } = this.#stage;
    const extent = Math.max(width, height);
    const [dx, dy] = [transform[4] - drawn[4], transform[5] - drawn[5]];
    const same = [0, 1, 2, 3].every((i) => Math.abs(transform[i] - drawn[i]) * extent < 0.25);
    if (!same || Math.abs(dx) > MARGIN || Math.abs(dy) > MARGIN) return this.draw();
    this.#move(dx, dy);
  }

  /** @param {number} dx @param {number} dy px */
  #move(dx, dy) {
    const ratio = window.devicePixelRatio || 1; // whole device pixels: nothing has to be interpolated
    const [x, y] = [Math.round(dx * ratio) / ratio, Math.round(dy * ratio) / ratio];
    this.#canvas.style.transform = `translate(${x}px, ${y}px)`;
  }

  /** Draw now. */
  draw() {
    const view = this.#view();
    if (!view) return;
    if (this.#scene.hidden) return this.#say("Overlays are hidden (O shows them)");
    if (this.#scene.glass) this.#glass(view);
    if (this.#scene.screening) this.#screening(view, this.#scene.screening);
    this.#regions(view);
    const said = [
      this.#store.loaded ? this.#candidates(view) : "",
      this.#scene.other ? this.#other(view, this.#scene.other) : "",
    ];
    this.#say(said.filter(Boolean).join(" · "));
    for (const one of this.#scene.hotspots) this.#outline(view, one, colourOf("hotspot"), [10, 6], one.say);
    const { field } = this.#scene;
    if (field) this.#outline(view, field, colourOf("field"), [], field.say);
    this.#selected(view);
    if (this.#scene.ruler) this.#ruler(view, this.#scene.ruler);
  }

  /** An empty canvas over what is shown now; null before the slide is open. @returns {View | null} */
  #view() {
    const canvas = this.#canvas;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.#stage.viewer.element;
    const [width, height] = [clientWidth + 2 * MARGIN, clientHeight + 2 * MARGIN];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    // In the computer's own memory: thousands of small stamps are drawn faster there than by way of a GPU process.
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("This browser draws nothing over the slide.");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#drawn = this.#stage.transform();
    if (!this.#drawn) return null;
    this.#move(0, 0);
    const [a, b, c, d, e, f] = this.#drawn;
    /** @type {Transform} */
    const transform = [a, b, c, d, e + MARGIN, f + MARGIN];
    const radius = Math.max(SMALLEST, Math.round(2 * this.#radius * scaleOf(transform)) / 2);
    const box = boxInView(transform, width, height, 2 * radius);
    return { context, ratio, transform, width, height, radius, box };
  }

  /**
   * @param {View} view
   * @returns {string} what is shown, where that is not every candidate as a point; so do the next ones
   */
  #candidates(view) {
    const { visible, columns } = this.#store;
    const key = `${visible} ${columns.n}`;
    if (this.#heatOf !== key) {
      this.#density.fill(columns.x, columns.y, visible);
      this.#heat = null;
      this.#heatOf = key;
    }
    const atMost = this.#density.atMost(view.box);
    if (!this.#scene.points && view.radius === SMALLEST && atMost > HEAT_FROM) return this.#heatmap(view, visible);
    const { spots, total } = atMost > 3 * MOST ? this.#best(view, visible) : this.#every(view);
    for (const spot of spots) this.#spot(view, spot);
    for (const spot of this.#store.judged()) if (spot >= visible) this.#spot(view, spot);
    if (spots.length === total) return "";
    return `Showing ${whole(spots.length)} of ${whole(total)} candidates in and around the view, highest confidence first`;
  }

  /** The candidates in view by the index. @param {View} view */
  #every({ box }) {
    const spots = this.#store.within(box);
    const total = spots.length;
    if (total > MOST) spots.sort((a, b) => a - b).length = MOST;
    return { spots, total };
  }

  /**
   * The best-scored candidates in view, without the index: it would sort through nearly all of them.
   * @param {View} view
   * @param {number} visible
   */
  #best({ box: [x0, y0, x1, y1] }, visible) {
    const { x, y } = this.#store.columns;
    const spots = [];
    let total = 0;
    for (let i = 0; i < visible; i++) {
      if (x[i] < x0 || x[i] > x1 || y[i] < y0 || y[i] > y1) continue;
      total++;
      if (spots.length < MOST) spots.push(i);
    }
    return { spots, total };
  }

  /** @param {View} view */
  #glass(view) {
    const picture = this.#store.tissue?.glass(rgbOf("glass"));
    if (picture) this.#overAll(view, picture);
  }

  /** The field that is shown and, from afar, what has not been seen. @param {View} view @param {Screened} screening */
  #screening(view, { cells, field }) {
    if (this.#stage.scale > FAR) {
      const { version } = cells;
      if (this.#unseen?.cells !== cells || this.#unseen.version !== version)
        this.#unseen = { cells, version, picture: pictureOf(cells, 0) };
      this.#overAll(view, this.#unseen.picture);
    }
    this.#outline(view, field, colourOf("selected"), [4, 4], field.say);
  }

  /** A picture over the whole slide. @param {View} view @param {CanvasImageSource} picture */
  #overAll({ context, transform }, picture) {
    context.save();
    context.transform(...transform);
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, 0, 0, this.#stage.width, this.#stage.height);
    context.restore();
  }

  /** @param {View} view @param {number} spot */
  #spot({ context, ratio, transform, radius, width, height }, spot) {
    const place = this.#store.place(spot);
    const [x, y] = apply(transform, place.x, place.y);
    if (x < -radius || y < -radius || x > width + radius || y > height + radius) return;
    context.globalAlpha = this.#store.evaluable(spot) ? 1 : FADED;
    stamp(context, this.#store.label(spot) || "unjudged", radius, ratio, x, y);
    context.globalAlpha = 1;
  }

  /** @param {View} view @param {number} visible */
  #heatmap({ context, transform: [a, b, c, d, e, f] }, visible) {
    const { columns, rows, cell } = this.#density;
    if (!this.#heat) {
      const { bytes } = this.#density.picture();
      this.#heat = make("canvas", { width: columns, height: rows });
      this.#heat.getContext("2d")?.putImageData(new ImageData(bytes, columns, rows), 0, 0);
    }
    context.save();
    context.transform(a, b, c, d, e, f);
    context.imageSmoothingEnabled = true;
    context.drawImage(this.#heat, 0, 0, columns * cell, rows * cell);
    context.restore();
    return `Density of ${whole(visible)} candidates: blue few, yellow many. Zoom in for points`;
  }

  /** @param {View} view @param {OtherRun} other */
  #other({ context, transform, radius, ratio, box: [x0, y0, x1, y1] }, other) {
    const { x, y } = other.columns;
    let total = 0;
    for (let i = 0; i < other.visible; i++) {
      if (x[i] < x0 || x[i] > x1 || y[i] < y0 || y[i] > y1) continue;
      if (++total <= MOST) stamp(context, "other", radius, ratio, ...apply(transform, x[i], y[i]));
    }
    for (const places of [other.only, other.onlyOther]) {
      for (const place of places.slice(0, MOST))
        stamp(context, "only", radius, ratio, ...apply(transform, place.x, place.y));
    }
    if (total <= MOST) return "";
    return `Showing ${whole(MOST)} of ${whole(total)} of the other run there, highest confidence first`;
  }

  /** @param {View} view */
  #regions(view) {
    const { draft, region: chosen } = this.#scene;
    for (const region of this.#store.regions) {
      if (draft && region.id === chosen) continue;
      this.#region(view, { ...region, closed: true }, region.id === chosen);
    }
    if (draft) this.#region(view, draft, true);
  }

  /** @param {View} view @param {Draft} region @param {boolean} handles */
  #region({ context, transform }, { polygon, kind, closed }, handles) {
    const points = polygon.map(([x, y]) => apply(transform, x, y));
    if (!points.length) return;
    const path = pathOf(points, closed);
    const colour = colourOf(kind);
    context.save();
    if (closed && kind === "exclusion") hatch(context, path, colour);
    stroke(context, path, colour, kind === "exclusion" ? [6, 4] : []);
    if (handles) for (const point of points) knob(context, point, 5, colour);
    if (handles && closed) for (const point of middles(points)) knob(context, point, 3, colour);
    if (closed) {
      const [x, y] = points.reduce((top, point) => (point[1] < top[1] ? point : top));
      write(context, kind, x, y - 8, colour);
    }
    context.restore();
  }

  /** @param {View} view @param {Outline} outline @param {string} colour @param {number[]} dash @param {string} text */
  #outline({ context, transform }, { x, y, shape, side, sideY }, colour, dash, text) {
    const path = new Path2D();
    if (shape === "circle") path.ellipse(x, y, side / 2, sideY / 2, 0, 0, 2 * Math.PI);
    else path.rect(x - side / 2, y - sideY / 2, side, sideY);
    const onScreen = new Path2D();
    onScreen.addPath(path, new DOMMatrix(transform));
    context.save();
    stroke(context, onScreen, colour, dash);
    const [left, top] = apply(transform, x, y);
    write(context, text, left, top - (Math.max(side, sideY) / 2) * scaleOf(transform) - 8, colour);
    context.restore();
  }

  /** @param {View} view @param {{points: Point[], say: string}} ruler */
  #ruler({ context, transform }, { points, say }) {
    const places = points.map(([x, y]) => apply(transform, x, y));
    if (!places.length) return;
    const colour = colourOf("field");
    context.save();
    if (places.length > 2) stroke(context, pathOf([places[places.length - 1], places[0]], false), colour, [2, 5], 1.2);
    stroke(context, pathOf(places, false), colour, []);
    for (const place of places) knob(context, place, 4, colour);
    const [x, y] = places[places.length - 1];
    if (places.length > 1) write(context, say, x, y - 12, colour);
    context.restore();
  }

  /** @param {View} view */
  #selected({ context, transform, radius }) {
    if (this.#store.selected < 0 || this.#store.selected >= this.#store.spots) return;
    const place = this.#store.place(this.#store.selected);
    const [x, y] = apply(transform, place.x, place.y);
    const half = radius + 7; // brackets around the mark: shape, not colour alone
    const arm = half * 0.6;
    const path = new Path2D();
    for (const [sx, sy] of CORNERS) {
      path.moveTo(x + sx * half, y + sy * (half - arm));
      path.lineTo(x + sx * half, y + sy * half);
      path.lineTo(x + sx * (half - arm), y + sy * half);
    }
    stroke(context, path, colourOf("selected"), [], 3.2);
  }
}

/** The middles of the edges of a closed polygon. @param {Point[]} points @returns {Point[]} */
function middles(points) {
  return points.map(([x, y], i) => {
    const [nextX, nextY] = points[(i + 1) % points.length];
    return [(x + nextX) / 2, (y + nextY) / 2];
  });
}
