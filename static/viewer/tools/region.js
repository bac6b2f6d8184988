// Drawing and changing tumour regions and exclusions, with the pointer of OpenSeadragon and on the one canvas.
//
// Click (or Space, in the middle of the view) sets a corner, Shift and drag draw freehand; Enter, a double click or the first corner close it. A closed region
// is chosen by its edge; its corners are dragged, a small knob between two corners makes a new one, Delete removes it.

import { distanceToEdge } from "../geometry.js";

const NEAR = 10; // screen px within which a corner or an edge is meant
const FREEHAND_STEP = 6; // screen px

export class RegionTool {
  #stage;
  #store;
  #scene;
  #on;
  #grabbed = null; // {polygon, corner} while a corner is dragged

  /**
   * @param {import("../stage.js").Stage} stage
   * @param {import("../store.js").Store} store
   * @param {import("../overlay.js").Scene} scene
   * @param {{drawn: Function, edited: Function, removed: Function, changed: Function, say: Function}} on
   */
  constructor(stage, store, scene, on) {
    [this.#stage, this.#store, this.#scene, this.#on] = [stage, store, scene, on];
  }

  get drawing() {
    return this.#scene.draft !== null && !this.#scene.draft.closed;
  }

  /** @param {"tumour" | "exclusion"} kind */
  start(kind) {
    this.#scene.region = null;
    this.#scene.draft = { kind, polygon: [], closed: false };
    this.#on.say(
      `Drawing ${kind === "tumour" ? "a tumour region" : "an exclusion"}: click sets a corner (Space one in the middle), Shift and drag draw freehand; Enter closes, Backspace takes a corner back, Esc gives up.`,
    );
    this.#on.changed();
  }

  finish() {
    const { draft } = this.#scene;
    if (!this.drawing) return false;
    if (draft.polygon.length < 3) {
      this.#on.say("A region needs three corners at least.");
      return true;
    }
    this.#scene.draft = null;
    this.#on.drawn(draft.kind, draft.polygon);
    return true;
  }

  cancel() {
    const busy = this.#scene.draft !== null || this.#scene.region !== null;
    this.#scene.draft = null;
    this.#scene.region = null;
    this.#on.changed();
    return busy;
  }

  /** Take the last corner back. */
  backspace() {
    if (!this.drawing) return false;
    this.#scene.draft.polygon.pop();
    this.#on.changed();
    return true;
  }

  remove() {
    const region = this.#store.regions.find(({ id }) => id === this.#scene.region);
    if (!region) return false;
    this.#scene.region = null;
    this.#on.removed(region);
    return true;
  }

  choose(id) {
    this.#scene.region = id;
    this.#on.changed();
  }

  click(position) {
    if (this.drawing) {
      const { polygon } = this.#scene.draft;
      if (polygon.length >= 3 && this.#near(position, polygon[0])) return this.finish();
      polygon.push(this.#corner(position));
      this.#on.changed();
      return true;
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

  /** A corner in the middle of the view, for who has no pointer. */
  cornerInTheMiddle() {
    if (!this.drawing) return false;
    this.#scene.draft.polygon.push(this.#stage.centre);
    this.#on.changed();
    return true;
  }

  doubleClick() {
    if (!this.drawing) return false;
    this.#scene.draft.polygon.pop(); // the second click set a corner on the first
    return this.finish();
  }

  press(position) {
    const region = this.#store.regions.find(({ id }) => id === this.#scene.region);
    if (!region || this.drawing) return false;
    const { polygon } = region;
    let corner = polygon.findIndex((one) => this.#near(position, one));
    const copy = polygon.map((one) => [...one]);
    if (corner < 0) {
      const edge = polygon.findIndex(([x, y], i) => {
        const [nextX, nextY] = polygon[(i + 1) % polygon.length];
        return this.#near(position, [(x + nextX) / 2, (y + nextY) / 2]);
      });
      if (edge < 0) return false;
      corner = edge + 1;
      copy.splice(corner, 0, this.#corner(position));
    }
    this.#grabbed = { region, corner };
    this.#scene.draft = { kind: region.kind, polygon: copy, closed: true };
    this.#on.changed();
    return true;
  }

  drag(position, event) {
    if (this.#grabbed) {
      this.#scene.draft.polygon[this.#grabbed.corner] = this.#corner(position);
      this.#on.changed();
      return true;
    }
    if (!this.drawing || !event?.shiftKey) return false;
    const { polygon } = this.#scene.draft;
    if (!polygon.length || !this.#near(position, polygon.at(-1), FREEHAND_STEP)) {
      polygon.push(this.#corner(position));
      this.#on.changed();
    }
    return true;
  }

  release() {
    if (!this.#grabbed) return false;
    const { region } = this.#grabbed;
    const { polygon } = this.#scene.draft;
    this.#grabbed = null;
    this.#scene.draft = null;
    this.#on.edited(region, polygon);
    return true;
  }

  #near(position, [x, y], pixels = NEAR) {
    const [px, py] = this.#stage.toSlide(position);
    return Math.hypot(px - x, py - y) < this.#stage.reach(pixels);
  }

  #corner(position) {
    const [x, y] = this.#stage.toSlide(position);
    const { width, height } = this.#stage;
    return [Math.min(width, Math.max(0, x)), Math.min(height, Math.max(0, y))];
  }
}
