// Drawing and changing tumour regions and exclusions, with the pointer of OpenSeadragon and on the one canvas.
//
// Click (or Space, in the middle of the view) sets a corner, Shift and drag draw freehand; Enter, a double click or the
// first corner close it. A closed region is chosen by its edge; its corners are dragged, a small knob between two
// corners makes a new one, Delete removes it.

import { distanceToEdge } from "../geometry.js";

/** @import { Point, RegionKind } from "../geometry.js" */
/** @import { Scene } from "../scene.js" */
/** @import { Stage } from "../stage.js" */
/** @import { Region, Store } from "../store.js" */
/** @import { Say } from "../toast.js" */
/** @import { Hand, Position, Tool } from "./tool.js" */

/**
 * @typedef {object} Listener  who takes what was drawn
 * @property {(kind: RegionKind, polygon: Point[]) => unknown} drawn
 * @property {(region: Region, polygon: Point[]) => unknown} edited
 * @property {(region: Region) => unknown} removed
 * @property {() => void} changed what is drawn on the slide
 * @property {Say} say
 */

const NEAR = 10; // screen px within which a corner or an edge is meant
const FREEHAND_STEP = 6; // screen px
const HOW =
  "click sets a corner (Space one in the middle), Shift and drag draw freehand; " +
  "Enter closes, Backspace takes a corner back, Esc gives up.";

/** @type {Record<RegionKind, string>} */
const WHAT = {
  tumour: "a tumour region",
  exclusion: "an exclusion",
  tissue: "tissue that was taken for glass",
  glass: "glass that was taken for tissue",
};

/** @implements {Tool} */
export class RegionTool {
  #stage;
  #store;
  #scene;
  #on;
  /** @type {{region: Region, polygon: Point[], corner: number} | null} while a corner is dragged */
  #grabbed = null;

  /** @param {Stage} stage @param {Store} store @param {Scene} scene @param {Listener} on */
  constructor(stage, store, scene, on) {
    this.#stage = stage;
    this.#store = store;
    this.#scene = scene;
    this.#on = on;
  }

  get drawing() {
    return this.#open !== null;
  }

  /** Begin to draw. @param {RegionKind} kind */
  activate(kind) {
    this.#scene.region = null;
    this.#scene.draft = { kind, polygon: [], closed: false };
    this.#on.say(`Drawing ${WHAT[kind]}: ${HOW}`);
    this.#on.changed();
  }

  /** Give up what is drawn, and choose nothing. */
  deactivate() {
    const busy = this.#scene.draft !== null || this.#scene.region !== null;
    this.#grabbed = null;
    this.#scene.draft = null;
    this.#scene.region = null;
    this.#on.changed();
    return busy;
  }

  /** Close the region that is drawn. */
  finish() {
    const draft = this.#open;
    if (!draft) return false;
    if (draft.polygon.length < 3) {
      this.#on.say("A region needs three corners at least.");
      return true;
    }
    this.#scene.draft = null;
    this.#on.drawn(draft.kind, draft.polygon);
    return true;
  }

  /** Take the last corner back. */
  backspace() {
    const draft = this.#open;
    if (!draft) return false;
    draft.polygon.pop();
    this.#on.changed();
    return true;
  }

  /** Set a corner in the middle of the view, for who has no pointer. */
  cornerInTheMiddle() {
    return this.#set(this.#stage.centre);
  }

  /** Remove the chosen region. */
  remove() {
    const region = this.#chosen;
    if (!region) return false;
    this.#scene.region = null;
    this.#on.removed(region);
    return true;
  }

  /** @param {string | null} id */
  choose(id) {
    this.#scene.region = id;
    this.#on.changed();
  }

  /** @param {Position} position */
  click(position) {
    const draft = this.#open;
    if (draft) {
      const closes = draft.polygon.length >= 3 && this.#near(position, draft.polygon[0]);
      return closes ? this.finish() : this.#set(this.#stage.onSlide(position));
    }
    const [x, y] = this.#stage.toSlide(position);
    const near = this.#stage.reach(NEAR);
    const hit = this.#store.regions.find(({ polygon }) =>
      polygon.some((corner, i) => distanceToEdge(corner, polygon[(i + 1) % polygon.length], x, y) < near),
    );
    if (!hit && this.#scene.region === null) return false;
    this.choose(hit?.id ?? null);
    return Boolean(hit);
  }

  doubleClick() {
    const draft = this.#open;
    if (!draft) return false;
    draft.polygon.pop(); // the second click set a corner on the first
    return this.finish();
  }

  /** @param {Position} position */
  press(position) {
    const region = this.#chosen;
    if (!region || this.drawing) return false;
    const polygon = region.polygon.map((corner) => /** @type {Point} */ ([...corner]));
    let corner = polygon.findIndex((one) => this.#near(position, one));
    if (corner < 0) {
      const edge = polygon.findIndex(([x, y], i) => {
        const [nextX, nextY] = polygon[(i + 1) % polygon.length];
        return this.#near(position, [(x + nextX) / 2, (y + nextY) / 2]);
      });
      if (edge < 0) return false;
      corner = edge + 1;
      polygon.splice(corner, 0, this.#stage.onSlide(position));
    }
    this.#grabbed = { region, polygon, corner };
    this.#scene.draft = { kind: region.kind, polygon, closed: true };
    this.#on.changed();
    return true;
  }

  /** @param {Position} position @param {Hand} [hand] */
  drag(position, hand) {
    if (this.#grabbed) {
      this.#grabbed.polygon[this.#grabbed.corner] = this.#stage.onSlide(position);
      this.#on.changed();
      return true;
    }
    const draft = this.#open;
    if (!draft || !hand?.shiftKey) return false;
    const last = draft.polygon.at(-1);
    if (!last || !this.#near(position, last, FREEHAND_STEP)) this.#set(this.#stage.onSlide(position));
    return true;
  }

  release() {
    if (!this.#grabbed) return false;
    const { region, polygon } = this.#grabbed;
    this.#grabbed = null;
    this.#scene.draft = null;
    this.#on.edited(region, polygon);
    return true;
  }

  /** What is being drawn and not closed yet. */
  get #open() {
    const { draft } = this.#scene;
    return draft && !draft.closed ? draft : null;
  }

  get #chosen() {
    return this.#store.regions.find(({ id }) => id === this.#scene.region);
  }

  /** @param {Point} corner */
  #set(corner) {
    const draft = this.#open;
    if (!draft) return false;
    draft.polygon.push(corner);
    this.#on.changed();
    return true;
  }

  /** @param {Position} position @param {Point} place */
  #near(position, [x, y], pixels = NEAR) {
    const [px, py] = this.#stage.toSlide(position);
    return Math.hypot(px - x, py - y) < this.#stage.reach(pixels);
  }
}
