// Screening: the evaluable area, or the hotspot, field by field; what was shown long enough and fine enough is seen.

import { Cells } from "./cells.js";
import { sentenceOf } from "./dom.js";
import { boxInView } from "./geometry.js";
import { inHotspot } from "./scene.js";
import { screeningPath } from "./screening_path.js";

/** @import { Coverage, Run } from "./cells.js" */
/** @import { Box, Outline, Point } from "./geometry.js" */
/** @import { Scene } from "./scene.js" */
/** @import { Stage } from "./stage.js" */
/** @import { Say } from "./toast.js" */

/**
 * @typedef {object} Sensitivity
 * @property {number} min_score
 * @property {number} found
 * @property {number} missed
 * @property {number} open candidates there without a verdict; until there are none, nothing is estimated
 * @property {number | null} share
 * @property {Point | null} interval
 */
/** @typedef {{seen: number, x: number | null, y: number | null, sensitivity: Sensitivity | null}} ScreeningProgress */
/** @typedef {ScreeningProgress & Coverage & {tumour: boolean}} ScreeningCoverage */
/**
 * @typedef {object} Panel
 * @property {"evaluable" | "hotspot"} over what is screened
 * @property {boolean} ofRule fields of the rule's size, or of the screen
 * @property {(screening: Screening) => void} show
 */
/**
 * @typedef {object} Parts
 * @property {Pick<Stage, "viewer" | "transform" | "goTo" | "scale" | "complete" | "width" | "height">} stage
 * @property {Point | null} mpp um per level-0 px
 * @property {Scene} scene
 * @property {Panel} panel
 * @property {Say} say
 * @property {() => void} changed called when other things are drawn
 * @property {() => number} areaMm2 of the hotspot, of which the rule's field is a tenth
 * @property {() => Box} clear what no tool covers of the slide's element, screen px
 * @property {{load: () => Promise<ScreeningCoverage>, see: (runs: Run[], place: Point) => Promise<ScreeningProgress>, forget: () => Promise<unknown>}} server
 */

const SCALE = 0.28; // um per screen px of a field: a little finer than what is needed to be seen
const LOOK = 250; // ms between two looks at what is shown
const TELL = 3000; // ms between two calls of the server
const PAUSE = 700; // ms after a verdict or region, before the server is asked what holds now
const MOST = 5000; // runs of cells in one call

export class Screening {
  #parts;
  /** @type {Cells | null} */
  cells = null;
  /** @type {ScreeningCoverage | null} */
  told = null;
  /** Why the server does not have all; "" where it has. */
  problem = "";
  active = false;
  #starting = false;
  /** @type {{columns: number, rows: number, width: number, height: number}} of fields; width, height: in cells */
  #grid = { columns: 0, rows: 0, width: 1, height: 1 };
  /** @type {number[]} */
  #path = [];
  #at = -1;
  /** Of the field that was shown last, level-0 px. @type {Point | null} */
  #place = null;
  #laidFor = "";
  #telling = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #looking;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #reporting;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #asking;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    document.addEventListener("visibilitychange", () => document.hidden && this.tell());
  }

  /** Ask the server what has been seen, and what is evaluable now. */
  async load() {
    const told = await this.#parts.server.load();
    if (this.cells?.fits(told)) this.cells.update(told);
    else this.cells = new Cells(told, this.#parts.stage);
    this.told = told;
    this.#laidFor = "";
    this.#reporting ??= setInterval(() => this.tell(), TELL); // also after a stop, until the server has all
    this.#lay();
    this.#parts.panel.show(this);
  }

  /** Begin, or stop. */
  async toggle() {
    if (this.active) return this.stop();
    if (this.#starting) return;
    this.#starting = true;
    try {
      await this.load();
      this.active = true;
      this.#begin();
    } catch (error) {
      this.#parts.say(sentenceOf(error), "warn");
    }
    this.#starting = false;
  }

  #begin() {
    const { viewer } = this.#parts.stage;
    viewer.canvas.focus({ preventScroll: true }); // Space is for the slide, not for a tab or button
    viewer.navigator.element.style.visibility = "hidden"; // it would cover a corner of each field; the tab has a map
    this.#looking = setInterval(() => this.look(LOOK / 1000), LOOK);
    const { x, y } = this.told ?? { x: null, y: null };
    this.#at = x === null || y === null ? -1 : this.#nearest([x, y]) - 1;
    this.next();
  }

  /** Stop; what was seen is kept, and it goes on there. */
  stop() {
    clearInterval(this.#looking);
    this.active = false;
    this.#parts.stage.viewer.navigator.element.style.visibility = "";
    this.#parts.scene.screening = null;
    this.#parts.changed();
    this.tell();
    this.#parts.panel.show(this);
  }

  /** Show the next field of which something has not been seen. Whether there is screening. */
  next() {
    if (!this.active || !this.cells) return false;
    this.#lay();
    const { length } = this.#path;
    const ahead = Array.from({ length }, (_, i) => (this.#at + 1 + i) % length);
    const next = ahead.find((at) => this.#cellsOf(this.#path[at]).some((cell) => this.#open(cell)));
    if (next === undefined) {
      this.#parts.say(length ? `All of ${this.what} has been seen.` : "Nothing here is evaluable.");
      this.#show();
      return true;
    }
    this.#at = next;
    this.#go(this.#path[next]);
    return true;
  }

  /** Verdicts, threshold, regions or the hotspot are others now. */
  outdated() {
    if (!this.cells) return;
    clearTimeout(this.#asking);
    this.#asking = setTimeout(() => this.load().catch(() => {}), PAUSE);
  }

  /** What is screened, in words. */
  get what() {
    if (this.#parts.panel.over === "hotspot") return "the hotspot";
    return this.told?.tumour ? "the tumour" : "the tissue";
  }

  /** Share of what is screened that was seen, 0..1. */
  get share() {
    this.#lay();
    return this.cells?.share() ?? 0;
  }

  /** Which field is shown, and of how many. */
  get where() {
    return { field: this.#at + 1, of: this.#path.length };
  }

  /** Fields of another size, or over something else. */
  arrange() {
    this.#laidFor = "";
    if (this.active) this.next();
    this.#parts.panel.show(this);
  }

  /** Begin anew. */
  async forget() {
    if (this.active) this.stop();
    try {
      await this.#parts.server.forget();
    } catch (error) {
      return this.#parts.say(sentenceOf(error), "warn");
    }
    this.cells = this.#place = null; // what was not told yet is forgotten too
    await this.toggle();
  }

  /** What is shown now has been shown so long. @param {number} seconds */
  look(seconds) {
    const { stage, clear, panel, mpp } = this.#parts;
    const transform = stage.transform();
    const hidden = document.hidden || document.querySelector("dialog[open]");
    if (!transform || !this.cells || !this.told || !mpp || hidden || !stage.complete) return;
    if ((stage.scale * Math.max(...mpp)) / mpp[0] > this.told.um_per_px * 1.001) return;
    const before = this.cells.version;
    const { clientWidth, clientHeight } = stage.viewer.element;
    this.cells.show(transform, clear(), boxInView(transform, clientWidth, clientHeight), seconds, this.told.seconds);
    if (this.cells.version !== before) panel.show(this);
  }

  /** Tell the server what it does not know yet. */
  async tell() {
    const { cells } = this;
    if (!cells || this.#telling) return;
    const runs = cells.take(MOST);
    if (!runs.length) return;
    this.#telling = true;
    try {
      const place = this.#place ?? cells.middle(runs[0][0] * cells.columns + runs[0][1]);
      const progress = await this.#parts.server.see(runs, place);
      if (this.told) Object.assign(this.told, progress);
      this.problem = "";
      if (progress.seen < cells.shareOfAll() - 0.001 && !cells.waiting) await this.#startOver();
    } catch (error) {
      cells.giveBack(runs);
      this.problem = sentenceOf(error);
    }
    this.#telling = false;
    this.#parts.panel.show(this);
  }

  /** The server knows less than this page: it was begun anew elsewhere. */
  async #startOver() {
    this.cells = null;
    await this.load();
  }

  /** Lay the fields out, where the screen or what is asked for is another than before. */
  #lay() {
    const { panel, mpp, areaMm2, clear, scene } = this.#parts;
    const [x0, y0, x1, y1] = clear();
    const spots = panel.over === "hotspot" ? scene.hotspots.filter(({ first }) => first) : [];
    const places = spots.map(({ x, y, side }) => `${x} ${y} ${side}`);
    const now = [x1 - x0, y1 - y0, panel.over, panel.ofRule && areaMm2(), ...places].join();
    if (!this.cells || !mpp || now === this.#laidFor) return;
    this.#laidFor = now;
    const { columns, rows, size } = this.cells;
    const { over } = panel;
    this.cells.want(
      (cell) => over === "evaluable" || inHotspot(scene, .../** @type {Cells} */ (this.cells).middle(cell)),
    );
    const side = panel.ofRule ? Math.sqrt(areaMm2() * 1e5) : Infinity; // um: a field is a tenth of the area
    const [width, height] = [x1 - x0, y1 - y0].map((px, axis) => {
      const most = Math.max(1, Math.floor((px * this.#scale) / mpp[0] / size[axis]));
      const whole = side / (size[axis] * mpp[axis]); // cells
      return Number.isFinite(whole) ? Math.max(1, Math.round(whole / Math.ceil(whole / most))) : most;
    });
    const same = width === this.#grid.width && height === this.#grid.height;
    const before = same ? this.#path[this.#at] : undefined;
    this.#grid = { columns: Math.ceil(columns / width), rows: Math.ceil(rows / height), width, height };
    const fields = new Uint8Array(this.#grid.columns * this.#grid.rows);
    for (let cell = 0; cell < columns * rows; cell++) {
      const [row, column] = [Math.floor(cell / columns / height), Math.floor((cell % columns) / width)];
      if (this.cells.wanted[cell]) fields[row * this.#grid.columns + column] = 1;
    }
    this.#path = screeningPath(fields, this.#grid.columns, this.#grid.rows);
    this.#at = before === undefined ? -1 : this.#path.indexOf(before);
    if (this.#at < 0 && this.#place) this.#at = this.#nearest(this.#place) - 1;
  }

  /** um per screen px, along x, at which fields are shown. */
  get #scale() {
    const { mpp } = this.#parts;
    return mpp ? (SCALE * mpp[0]) / Math.max(...mpp) : SCALE;
  }

  /** The cells of a field. @param {number} field */
  #cellsOf(field) {
    const { columns, width, height } = this.#grid;
    const [top, left] = [Math.floor(field / columns) * height, (field % columns) * width];
    const all = this.cells ?? { columns: 0, rows: 0 };
    const cells = [];
    for (let row = top; row < Math.min(top + height, all.rows); row++)
      for (let column = left; column < Math.min(left + width, all.columns); column++)
        cells.push(row * all.columns + column);
    return cells;
  }

  /** Whether a cell is to be seen, and has not been. @param {number} cell */
  #open(cell) {
    return Boolean(this.cells?.wanted[cell] && !this.cells.seen[cell]);
  }

  /** The place in the path of the field nearest to a place. @param {Point} place level-0 px */
  #nearest([x, y]) {
    let [best, least] = [0, Infinity];
    this.#path.forEach((field, at) => {
      const outline = this.#outline(field);
      const away = Math.hypot(outline.x - x, outline.y - y);
      if (away < least) [best, least] = [at, away];
    });
    return best;
  }

  /** What of a field lies on the slide. @param {number} field @returns {Outline} */
  #outline(field) {
    const { columns, width, height } = this.#grid;
    const [cellWidth, cellHeight] = this.cells?.size ?? [1, 1];
    const [left, top] = [(field % columns) * width * cellWidth, Math.floor(field / columns) * height * cellHeight];
    const side = Math.min(width * cellWidth, this.#parts.stage.width - left);
    const sideY = Math.min(height * cellHeight, this.#parts.stage.height - top);
    return { x: left + side / 2, y: top + sideY / 2, shape: "square", side, sideY };
  }

  /** @param {number} field */
  #go(field) {
    const { stage, clear, mpp } = this.#parts;
    const { x, y } = this.#outline(field);
    const [x0, y0, x1, y1] = clear();
    const { clientWidth, clientHeight } = stage.viewer.element;
    const px = this.#scale / (mpp?.[0] ?? 1); // level-0 px of a screen px
    this.#place = [x, y];
    stage.viewer.viewport.setRotation(0, true);
    stage.scale = this.#scale;
    stage.goTo(x - ((x0 + x1 - clientWidth) / 2) * px, y - ((y0 + y1 - clientHeight) / 2) * px);
    this.#show();
  }

  #show() {
    const { scene, changed, panel } = this.#parts;
    const field = this.#path[this.#at];
    if (this.active && this.cells && field !== undefined) {
      const { where, cells } = this;
      scene.screening = { cells, field: { ...this.#outline(field), say: `field ${where.field} of ${where.of}` } };
    }
    changed();
    panel.show(this);
  }
}
