// An outline of a known area that is moved over the slide by hand, as an eyepiece is, and what is counted in it.

import { at, onClick } from "../dom.js";
import { inOutline, outlineOf } from "../geometry.js";

/** @import { Point, Shape } from "../geometry.js" */
/** @import { Field, Scene } from "../scene.js" */
/** @import { Stage } from "../stage.js" */
/** @import { Store } from "../store.js" */
/** @import { Say } from "../toast.js" */
/** @import { Hand, Position, Tool } from "./tool.js" */

const STEP = 0.1; // of its width at each key
/** @type {Record<string, Point>} */
const WAYS = {
  "Shift+ArrowLeft": [-STEP, 0],
  "Shift+ArrowRight": [STEP, 0],
  "Shift+ArrowUp": [0, -STEP],
  "Shift+ArrowDown": [0, STEP],
};
const RIM = 10; // screen px around the rim by which it is dragged
const RIM_TOUCH = 22;

/** @implements {Tool} */
export class FieldTool {
  #stage;
  #store;
  #scene;
  #changed;
  #say;
  /** @type {Point | null} from the hand to the centre, while it is dragged */
  #offset = null;

  /** @param {{stage: Stage, store: Store, scene: Scene, changed: () => void, say: Say}} page */
  constructor({ stage, store, scene, changed, say }) {
    this.#stage = stage;
    this.#store = store;
    this.#scene = scene;
    this.#changed = changed;
    this.#say = say;
    onClick("tool-hpf", () => this.toggle());
    at("hpf-area").addEventListener("change", () => this.activate());
    store.observe(() => this.#count());
  }

  toggle() {
    if (!this.deactivate()) this.activate();
  }

  /** Show an outline of the chosen area, in the middle of the view at first. */
  activate() {
    const { mpp, centre } = this.#stage;
    if (!mpp) return this.#say("The µm/px of this slide is not known, so an area cannot be outlined.", "warn");
    const [area, shape] = at("hpf-area", HTMLSelectElement).value.split(" ");
    const { x, y } = this.#scene.field ?? { x: centre[0], y: centre[1] };
    const outline = outlineOf(/** @type {Shape} */ (shape), Number(area), mpp, x, y);
    this.#show({ ...outline, areaMm2: Number(area), say: "" });
  }

  deactivate() {
    const shown = this.#scene.field !== null;
    if (shown) this.#show(null);
    return shown;
  }

  /** Move it. @param {string} name of an arrow with Shift */
  key(name) {
    const { field } = this.#scene;
    if (!field) return false;
    const [shareX, shareY] = WAYS[name];
    this.#moveTo(field, field.x + shareX * field.side, field.y + shareY * field.sideY);
    return true;
  }

  /** By its rim, so that the slide inside can still be dragged. @param {Position} position @param {Hand} [hand] */
  press(position, hand) {
    const { field } = this.#scene;
    if (!field) return false;
    const [x, y] = this.#stage.toSlide(position);
    const rim = this.#stage.reach(hand?.pointerType === "touch" ? RIM_TOUCH : RIM);
    /** @param {number} by */
    const grown = (by) => ({ ...field, side: field.side + 2 * by, sideY: field.sideY + 2 * by });
    if (!inOutline(grown(rim), x, y) || inOutline(grown(-Math.min(rim, field.side / 2)), x, y)) return false;
    this.#offset = [field.x - x, field.y - y];
    return true;
  }

  /** @param {Position} position */
  drag(position) {
    const { field } = this.#scene;
    if (!this.#offset || !field) return false;
    const [x, y] = this.#stage.toSlide(position);
    this.#moveTo(field, x + this.#offset[0], y + this.#offset[1]);
    return true;
  }

  release() {
    const held = this.#offset !== null;
    this.#offset = null;
    return held;
  }

  /** @param {Field} field @param {number} x level-0 px @param {number} y */
  #moveTo(field, x, y) {
    const [inX, inY] = this.#stage.inside(x, y);
    this.#show({ ...field, x: inX, y: inY });
  }

  /** @param {Field | null} field */
  #show(field) {
    this.#scene.field = field;
    at("tool-hpf").setAttribute("aria-pressed", String(field !== null));
    at("hpf-box").hidden = field === null;
    this.#count();
    this.#changed();
  }

  /** Say what is counted in it. */
  #count() {
    const { field } = this.#scene;
    if (field) {
      const { ai, reviewed } = this.#store.numbers(field);
      field.say = `${reviewed} in ${field.areaMm2} mm²`;
      const numbers = `${reviewed} reviewed, ${ai} by AI in ${field.areaMm2} mm².`;
      at("hpf-say").textContent = `${numbers} Drag its rim, or Shift and the arrows.`;
    } else at("hpf-say").textContent = "";
  }
}
