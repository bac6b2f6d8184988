// Screening: the evaluable area, or the hotspot, field by field; what was shown long enough and fine enough is seen.

import { Cells } from "./cells.js";
import { sentenceOf } from "./dom.js";
import { boxInView } from "./geometry.js";
import { inHotspot } from "./scene.js";
import { screeningPath } from "./screening_path.js";

/** @import { Coverage, Run } from "./cells.js" */
/** @import { Outline, Point } from "./geometry.js" */
/** @import { Scene } from "./scene.js" */
/** @import { Stage } from "./stage.js" */
/** @import { Say } from "./toast.js" */

/** @typedef {{min_score: number, found: number, missed: number, share: number | null, interval: Point | null}} Sensitivity */
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
 * @property {Pick<Stage, "viewer" | "transform" | "goTo" | "scale" | "centre" | "image" | "width" | "height">} stage
 * @property {Point | null} mpp um per level-0 px
 * @property {Scene} scene
 * @property {Panel} panel
 * @property {Say} say
 * @property {() => void} changed called when other things are drawn
 * @property {() => number} areaMm2 of the hotspot, of which the rule's field is a tenth
 * @property {{load: () => Promise<ScreeningCoverage>, see: (runs: Run[], place: Point) => Promise<ScreeningProgress>, forget: () => Promise<unknown>}} server
 */

const SCALE = 0.28; // um per screen px of a field: a little finer than what is needed to be seen
const TOOLS = 64; // px at the left that the tools cover
const LOOK = 250; // ms between two looks at what is shown
const TELL = 12; // looks between two calls of the server
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
  /** @type {{columns: number, rows: number, width: number, height: number}} of fields; width, height: in cells */
  #grid = { columns: 0, rows: 0, width: 1, height: 1 };
  /** @type {number[]} */
  #path = [];
  #at = -1;
  #laidFor = "";
  #looks = 0;
  #telling = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    document.addEventListener("visibilitychange", () => document.hidden && this.#tell());
  }

  /** Begin, or stop. */
  async toggle() {
    if (this.active) return this.stop();
    const { server, say } = this.#parts;
    try {
      this.told = await server.load();
    } catch (error) {
      return say(sentenceOf(error), "warn");
    }
    this.cells = new Cells(this.told, this.#parts.stage);
    this.active = true;
    this.#laidFor = "";
    this.#parts.stage.viewer.viewport.setRotation(0, true);
    this.#parts.stage.viewer.canvas.focus({ preventScroll: true }); // Space is for the slide, not for a tab or button
    this.#navigator(false);
    this.#timer = setInterval(() => this.look(LOOK / 1000), LOOK);
    const { x, y } = this.told;
    this.#lay();
    this.#at = x === null || y === null ? -1 : this.#nearest([x, y]) - 1;
    this.next();
  }

  /** Stop; what was seen is kept, and it goes on there. */
  stop() {
    clearInterval(this.#timer);
    this.active = false;
    this.#navigator(true);
    this.#parts.scene.screening = null;
    this.#parts.changed();
    this.#tell();
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
      this.#parts.say(`All of ${this.what} has been seen.`);
      this.#show();
      return true;
    }
    this.#at = next;
    this.#go(this.#path[next]);
    return true;
  }

  /** What is screened, in words. */
  get what() {
    if (this.#parts.panel.over === "hotspot") return "the hotspot";
    return this.told?.tumour ? "the tumour" : "the tissue";
  }

  /** Share of what is screened that was seen, 0..1. */
  get share() {
    return this.cells?.share((cell) => this.#wanted(cell)) ?? 0;
  }

  /** Which field is shown, and of how many. */
  get where() {
    return { field: this.#at + 1, of: this.#path.length };
  }

  /** Fields of another size, or over something else. */
  arrange() {
    if (!this.active) return;
    this.#laidFor = "";
    this.#at = -1;
    this.next();
  }

  /** Begin anew. */
  async forget() {
    try {
      await this.#parts.server.forget();
    } catch (error) {
      return this.#parts.say(sentenceOf(error), "warn");
    }
    clearInterval(this.#timer);
    this.active = false;
    this.cells = null; // what was not told yet is forgotten too
    await this.toggle();
  }

  /** What is shown now has been shown so long. @param {number} seconds */
  look(seconds) {
    const { stage } = this.#parts;
    const transform = stage.transform();
    if (!transform || !this.cells || !this.told || document.hidden) return;
    const there = stage.image?.getFullyLoaded() ?? false;
    const before = this.cells.fresh;
    if (there && stage.scale <= this.told.um_per_px * 1.001) {
      const { clientWidth, clientHeight } = stage.viewer.element;
      const box = boxInView(transform, clientWidth, clientHeight);
      this.cells.show(transform, [TOOLS, 0, clientWidth, clientHeight], box, seconds, this.told.seconds);
    }
    if (++this.#looks % TELL === 0) this.#tell();
    if (this.cells.fresh !== before) this.#parts.panel.show(this);
  }

  /** It would cover a corner of each field; the map of the tab shows the same. @param {boolean} shown */
  #navigator(shown) {
    const { element } = this.#parts.stage.viewer.navigator;
    element.style.visibility = shown ? "" : "hidden";
  }

  async #tell() {
    const { cells } = this;
    if (!cells || this.#telling) return;
    const runs = cells.take(MOST);
    if (!runs.length) return;
    this.#telling = true;
    try {
      const progress = await this.#parts.server.see(runs, this.#parts.stage.centre);
      if (this.told) Object.assign(this.told, progress);
      this.problem = "";
    } catch (error) {
      cells.giveBack(runs);
      this.problem = sentenceOf(error);
    }
    this.#telling = false;
    this.#parts.panel.show(this);
  }

  /** Lay the fields out, where the screen or what is asked for is another than before. */
  #lay() {
    const { stage, panel, mpp, areaMm2 } = this.#parts;
    const { clientWidth, clientHeight } = stage.viewer.element;
    const now = [clientWidth, clientHeight, panel.over, panel.ofRule, panel.ofRule && areaMm2()].join();
    if (!this.cells || !mpp || now === this.#laidFor) return;
    this.#laidFor = now;
    const { columns, rows, size } = this.cells;
    const side = panel.ofRule ? Math.sqrt(areaMm2() * 1e5) : Infinity; // um: a field is a tenth of the area
    const [width, height] = [clientWidth - TOOLS, clientHeight].map((px, axis) => {
      const cell = size[axis] * mpp[axis];
      const most = Math.max(1, Math.floor((px * SCALE) / cell));
      return Number.isFinite(side) ? Math.max(1, Math.round(side / Math.ceil(side / (most * cell)) / cell)) : most;
    });
    this.#grid = { columns: Math.ceil(columns / width), rows: Math.ceil(rows / height), width, height };
    const wanted = new Uint8Array(this.#grid.columns * this.#grid.rows);
    for (let cell = 0; cell < columns * rows; cell++) {
      const [row, column] = [Math.floor(cell / columns / height), Math.floor((cell % columns) / width)];
      if (this.cells.evaluable[cell] && this.#wanted(cell)) wanted[row * this.#grid.columns + column] = 1;
    }
    const before = this.#path[this.#at];
    this.#path = screeningPath(wanted, this.#grid.columns, this.#grid.rows);
    this.#at = this.#path.indexOf(before);
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
    return Boolean(this.cells?.evaluable[cell] && !this.cells.seen[cell] && this.#wanted(cell));
  }

  /** @param {number} cell */
  #wanted(cell) {
    if (this.#parts.panel.over === "evaluable" || !this.cells) return true;
    return inHotspot(this.#parts.scene, ...this.cells.middle(cell));
  }

  /** The place in the path of the field nearest to a place. @param {Point} place level-0 px */
  #nearest([x, y]) {
    const away = this.#path.map((field) => {
      const outline = this.#outline(field);
      return Math.hypot(outline.x - x, outline.y - y);
    });
    return away.indexOf(Math.min(...away));
  }

  /** @param {number} field @returns {Outline} */
  #outline(field) {
    const { columns, width, height } = this.#grid;
    const [cellWidth, cellHeight] = this.cells?.size ?? [1, 1];
    const [side, sideY] = [width * cellWidth, height * cellHeight];
    const [x, y] = [((field % columns) + 0.5) * side, (Math.floor(field / columns) + 0.5) * sideY];
    return { x, y, shape: "square", side, sideY };
  }

  /** @param {number} field */
  #go(field) {
    const { stage } = this.#parts;
    const { x, y } = this.#outline(field);
    stage.scale = SCALE;
    stage.goTo(x - (TOOLS / 2) * (SCALE / (this.#parts.mpp?.[0] ?? 1)), y);
    this.#show();
  }

  #show() {
    const { scene, changed, panel } = this.#parts;
    const field = this.#path[this.#at];
    if (this.active && this.cells && field !== undefined) {
      const { where } = this;
      scene.screening = {
        cells: this.cells,
        field: { ...this.#outline(field), say: `field ${where.field} of ${where.of}` },
      };
    }
    changed();
    panel.show(this);
  }
}
