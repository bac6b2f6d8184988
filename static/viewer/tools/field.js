// An outline of a known area that is moved over the slide by hand, as an eyepiece is, and what is counted in it.

import { inOutline, outlineOf } from "../geometry.js";

export class FieldTool {
  #stage;
  #scene;
  #changed;
  #offset = null;

  /** @param {import("../stage.js").Stage} stage @param {import("../overlay.js").Scene} scene @param {() => void} changed */
  constructor(stage, scene, changed) {
    [this.#stage, this.#scene, this.#changed] = [stage, scene, changed];
  }

  /** Show an outline of this area in the middle of the view; null hides it. @param {number | null} areaMm2 */
  show(areaMm2, shape = "circle") {
    const [x, y] = this.#scene.hpf ? [this.#scene.hpf.x, this.#scene.hpf.y] : this.#stage.centre;
    this.#scene.hpf = areaMm2 === null ? null : { ...outlineOf(shape, areaMm2, this.#stage.mpp, x, y), areaMm2 };
    this.#changed();
  }

  /** Move it by a share of its width. */
  moveBy(shareX, shareY) {
    const { hpf } = this.#scene;
    if (!hpf) return false;
    this.#moveTo(hpf.x + shareX * hpf.side, hpf.y + shareY * hpf.sideY);
    return true;
  }

  press(position, event) {
    const { hpf } = this.#scene;
    if (!hpf) return false;
    const [x, y] = this.#stage.toSlide(position);
    // By its rim, so that the slide inside can still be dragged; anywhere inside with a finger held long is too slow.
    const rim = this.#stage.reach(event?.pointerType === "touch" ? 22 : 10);
    const grow = (by) => ({ ...hpf, side: hpf.side + 2 * by, sideY: hpf.sideY + 2 * by });
    if (!inOutline(grow(rim), x, y) || inOutline(grow(-Math.min(rim, hpf.side / 2)), x, y)) return false;
    this.#offset = [hpf.x - x, hpf.y - y];
    return true;
  }

  drag(position) {
    if (!this.#offset) return false;
    const [x, y] = this.#stage.toSlide(position);
    this.#moveTo(x + this.#offset[0], y + this.#offset[1]);
    return true;
  }

  release() {
    const held = this.#offset !== null;
    this.#offset = null;
    return held;
  }

  #moveTo(x, y) {
    const { width, height } = this.#stage;
    Object.assign(this.#scene.hpf, { x: Math.min(width, Math.max(0, x)), y: Math.min(height, Math.max(0, y)) });
    this.#changed();
  }
}
