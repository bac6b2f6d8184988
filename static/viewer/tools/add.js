// Adding a figure that the detector missed: by a click, or by a key under the pointer.

import { at, onClick } from "../dom.js";

/** @import { Point } from "../geometry.js" */
/** @import { Stage } from "../stage.js" */
/** @import { Say } from "../toast.js" */
/** @import { Position, Tool } from "./tool.js" */

/** @implements {Tool} */
export class AddTool {
  #stage;
  #pointer;
  #add;
  #say;
  #active = false;

  /**
   * @param {Stage} stage
   * @param {() => Position | null} pointer where it is; null: not over the slide
   * @param {(x: number, y: number) => void} add level-0 px
   * @param {Say} say
   */
  constructor(stage, pointer, add, say) {
    this.#stage = stage;
    this.#pointer = pointer;
    this.#add = add;
    this.#say = say;
    onClick("tool-add", () => (this.#active ? this.deactivate() : this.activate()));
  }

  activate() {
    this.#show(true);
    this.#say("Click on the missed figure. Esc gives up.");
  }

  deactivate() {
    const active = this.#active;
    this.#show(false);
    return active;
  }

  /** Add what is under the pointer, or in the middle of the view. */
  key() {
    const position = this.#pointer();
    this.#addAt(position ? this.#stage.toSlide(position) : this.#stage.centre);
    return true;
  }

  /** @param {Position} position */
  click(position) {
    if (!this.deactivate()) return false;
    this.#addAt(this.#stage.toSlide(position));
    return true;
  }

  /** @param {Point} place level-0 px */
  #addAt([x, y]) {
    const [nearX, nearY] = this.#stage.inside(x, y);
    if (x !== nearX || y !== nearY) this.#say("That is outside of the slide: nothing was added.", "warn");
    else this.#add(x, y);
  }

  /** @param {boolean} active */
  #show(active) {
    this.#active = active;
    at("tool-add").setAttribute("aria-pressed", String(active));
    at("viewer").classList.toggle("crosshair", active);
  }
}
