// One canvas over OpenSeadragon for everything that is drawn on the slide, in the same frame as the tiles.

import { Density } from "./density.js";
import { apply, boxInView, scaleOf } from "./geometry.js";
import { COLOUR, stamp } from "./marks.js";

const RING_UM = 9; // radius of a ring: a mitotic figure and its cytoplasm
const SMALLEST = 3.5; // px on screen
const MOST = 5000; // points in one picture; the best scores first, and the page says how many there are
const MARGIN = 128; // px around the view that are drawn as well, so that moving the slide moves a picture instead of making one
const HEAT_FROM = 600; // points in view, where rings can get no smaller, from which a heatmap says more

const whole = (value) => value.toLocaleString("en");

/**
 * @typedef {object} Scene  what is drawn beside the candidates
 * @property {boolean} hidden
 * @property {boolean} points never a heatmap
 * @property {import("./geometry.js").Outline[]} hotspots
 * @property {import("./geometry.js").Outline | null} hpf
 * @property {{columns: import("./columns.js").Columns, visible: number, only: {x: number, y: number}[], onlyOther: {x: number, y: number}[]} | null} other
 * @property {{polygon: number[][], kind: string, closed: boolean} | null} draft
 * @property {string | null} region the selected one
 */

export class Overlay {
  #stage;
  #canvas;
  #store;
  #scene;
  #say;
  #radiusUm;
  #waiting = false;
  #density;
  #heat = null;
  #heatOf = "";
  /** @type {import("./geometry.js").Transform | null} of the picture that is in the canvas */
  #drawn = null;

  /**
   * @param {import("./stage.js").Stage} stage
   * @param {HTMLCanvasElement} canvas over the viewer and MARGIN beyond
   * @param {import("./store.js").Store} store
   * @param {Scene} scene
   * @param {(words: string) => void} say what is shown and what is not
   */
  constructor(stage, canvas, store, scene, say) {
    this.#stage = stage;
    this.#canvas = canvas;
    this.#store = store;
    this.#scene = scene;
    this.#say = say;
    this.#radiusUm = RING_UM / (stage.mpp?.[0] ?? 0.25);
    this.#density = new Density(stage.width, stage.height);
    stage.viewer.canvas.append(canvas); // over the tiles, under the navigator
    canvas.style.inset = `${-MARGIN}px`;
    for (const event of ["open", "resize", "animation-finish"]) stage.viewer.addHandler(event, () => this.draw());
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

  #move(dx, dy) {
    const ratio = window.devicePixelRatio || 1; // whole device pixels: nothing has to be interpolated
    this.#canvas.style.transform = `translate(${Math.round(dx * ratio) / ratio}px, ${Math.round(dy * ratio) / ratio}px)`;
  }

  draw() {
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
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#drawn = this.#stage.transform();
    if (!this.#drawn) return;
    this.#move(0, 0);
    const [a, b, c, d, e, f] = this.#drawn;
    const transform = [a, b, c, d, e + MARGIN, f + MARGIN];
    if (this.#scene.hidden) return this.#say("Overlays are hidden (O shows them)");
    const radius = Math.max(SMALLEST, Math.round(2 * this.#radiusUm * scaleOf(transform)) / 2);
    const view = {
      context,
      ratio,
      transform,
      width,
      height,
      radius,
      box: boxInView(transform, width, height, 2 * radius),
    };
    this.#regions(view);
    const said = [];
    if (this.#store.loaded) said.push(this.#candidates(view));
    if (this.#scene.other) said.push(this.#other(view));
    this.#say(said.filter(Boolean).join(" · "));
    for (const [index, outline] of this.#scene.hotspots.entries()) {
      this.#outline(view, outline, COLOUR.hotspot, [10, 6], `hotspot ${index + 1}: ${outline.count}`);
    }
    if (this.#scene.hpf) this.#outline(view, this.#scene.hpf, COLOUR.hpf, [], this.#scene.hpf.say);
    this.#selected(view);
  }

  /** @returns {string} what is shown, where that is not every candidate as a point; so do the next ones */
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
    const spots = atMost > 3 * MOST ? this.#best(view, visible) : this.#store.within(view.box);
    const total = spots.total ?? spots.length;
    if (spots.length > MOST) spots.sort((a, b) => a - b).length = MOST;
    for (const spot of spots) this.#spot(view, spot);
    for (const spot of this.#store.judged()) if (spot >= visible) this.#spot(view, spot);
    return spots.length < total
      ? `Showing ${whole(spots.length)} of ${whole(total)} candidates in and around the view, the best scores first`
      : "";
  }

  /** The best-scored candidates in view, without the index: it would sort through nearly all of them. */
  #best({ box: [x0, y0, x1, y1] }, visible) {
    const { x, y } = this.#store.columns;
    const spots = [];
    spots.total = 0;
    for (let i = 0; i < visible; i++) {
      if (x[i] < x0 || x[i] > x1 || y[i] < y0 || y[i] > y1) continue;
      spots.total++;
      if (spots.length < MOST) spots.push(i);
    }
    return spots;
  }

  #spot({ context, ratio, transform, radius, width, height }, spot) {
    const place = this.#store.place(spot);
    const [x, y] = apply(transform, place.x, place.y);
    if (x < -radius || y < -radius || x > width + radius || y > height + radius) return;
    stamp(context, this.#store.label(spot), radius, ratio, x, y);
  }

  #heatmap({ context, ratio, transform: [a, b, c, d, e, f] }, visible) {
    const { columns, rows, cell } = this.#density;
    if (!this.#heat) {
      const { bytes } = this.#density.picture();
      this.#heat = document.createElement("canvas");
      this.#heat.width = columns;
      this.#heat.height = rows;
      this.#heat.getContext("2d").putImageData(new ImageData(bytes, columns, rows), 0, 0);
    }
    context.save();
    context.transform(a, b, c, d, e, f);
    context.imageSmoothingEnabled = true;
    context.drawImage(this.#heat, 0, 0, columns * cell, rows * cell);
    context.restore();
    return `Density of ${whole(visible)} candidates: blue few, yellow many. Zoom in for points`;
  }

  #other(view) {
    const { other } = this.#scene;
    const { x, y } = other.columns;
    const [x0, y0, x1, y1] = view.box;
    let total = 0;
    for (let i = 0; i < other.visible; i++) {
      if (x[i] < x0 || x[i] > x1 || y[i] < y0 || y[i] > y1) continue;
      if (++total <= MOST) stamp(view.context, "other", view.radius, view.ratio, ...apply(view.transform, x[i], y[i]));
    }
    for (const places of [other.only, other.onlyOther]) {
      for (const place of places.slice(0, MOST))
        stamp(view.context, "only", view.radius, view.ratio, ...apply(view.transform, place.x, place.y));
    }
    return total > MOST
      ? `Showing ${whole(MOST)} of ${whole(total)} of the other run there, the best scores first`
      : "";
  }

  #regions(view) {
    const { draft, region: chosen } = this.#scene;
    for (const region of this.#store.regions) {
      if (draft && region.id === chosen) continue;
      this.#polygon(view, region.polygon, region.kind, true, region.id === chosen);
    }
    if (draft) this.#polygon(view, draft.polygon, draft.kind, draft.closed, true);
  }

  #polygon({ context, transform }, polygon, kind, closed, handles) {
    const points = polygon.map(([x, y]) => apply(transform, x, y));
    if (!points.length) return;
    const path = new Path2D();
    points.forEach(([x, y], i) => path[i ? "lineTo" : "moveTo"](x, y));
    if (closed) path.closePath();
    context.save();
    if (closed && kind === "exclusion") hatch(context, path);
    stroke(context, path, COLOUR[kind], kind === "exclusion" ? [6, 4] : []);
    if (handles) for (const [x, y] of points) knob(context, x, y, 5, COLOUR[kind]);
    if (handles && closed)
      points.forEach(([x, y], i) => {
        const [nextX, nextY] = points[(i + 1) % points.length];
        knob(context, (x + nextX) / 2, (y + nextY) / 2, 3, COLOUR[kind]);
      });
    if (closed) {
      const [x, y] = points.reduce((top, point) => (point[1] < top[1] ? point : top));
      words(context, kind, x, y - 8, COLOUR[kind]);
    }
    context.restore();
  }

  #outline({ context, transform }, { x, y, shape, side, sideY }, colour, dash, text) {
    const [a, b, c, d, e, f] = transform;
    context.save();
    context.transform(a, b, c, d, e, f);
    const path = new Path2D();
    if (shape === "circle") path.ellipse(x, y, side / 2, sideY / 2, 0, 0, 2 * Math.PI);
    else path.rect(x - side / 2, y - sideY / 2, side, sideY);
    const flat = new Path2D();
    flat.addPath(path, new DOMMatrix(transform));
    context.restore();
    context.save();
    stroke(context, flat, colour, dash);
    const [left, top] = apply(transform, x, y);
    words(context, text, left, top - (Math.max(side, sideY) / 2) * scaleOf(transform) - 8, colour);
    context.restore();
  }

  #selected({ context, transform, radius }) {
    if (this.#store.selected < 0 || this.#store.selected >= this.#store.spots) return;
    const place = this.#store.place(this.#store.selected);
    const [x, y] = apply(transform, place.x, place.y);
    const half = radius + 7; // brackets around the mark: shape, not colour alone
    const arm = half * 0.6;
    const path = new Path2D();
    for (const [sx, sy] of [
      [-1, -1],
      [1, -1],
      [1, 1],
      [-1, 1],
    ]) {
      path.moveTo(x + sx * half, y + sy * (half - arm));
      path.lineTo(x + sx * half, y + sy * half);
      path.lineTo(x + sx * (half - arm), y + sy * half);
    }
    stroke(context, path, COLOUR.selected, [], 3.2);
  }
}

function stroke(context, path, colour, dash, width = 2.2) {
  context.lineJoin = "round";
  context.setLineDash([]);
  context.strokeStyle = "#ffffff";
  context.lineWidth = width + 2.4;
  context.stroke(path);
  context.setLineDash(dash);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke(path);
  context.setLineDash([]);
}

function knob(context, x, y, radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = "#ffffff";
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.stroke();
}

function words(context, text, x, y, colour) {
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.lineWidth = 4;
  context.strokeStyle = "#ffffff";
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

/** Stripes inside an exclusion, so that it is known without its colour. */
function hatch(context, path) {
  context.save();
  context.clip(path);
  context.beginPath();
  const { width, height } = context.canvas;
  for (let x = -height; x < width; x += 14) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.strokeStyle = "rgb(138 45 0 / .35)";
  context.lineWidth = 1.5;
  context.stroke();
  context.restore();
}
