// Choosing a candidate or a figure by a click on its mark.

/** @import { Stage } from "../stage.js" */
/** @import { Store } from "../store.js" */
/** @import { Position, Tool } from "./tool.js" */

const CLICK = 16; // screen px within which a click means a candidate

/** @implements {Tool} */
export class SelectTool {
  #stage;
  #store;
  #choose;

  /** @param {Stage} stage @param {Store} store @param {(spot: number) => void} choose */
  constructor(stage, store, choose) {
    this.#stage = stage;
    this.#store = store;
    this.#choose = choose;
  }

  /** @param {Position} position */
  click(position) {
    const [x, y] = this.#stage.toSlide(position);
    const spot = this.#store.nearest(x, y, this.#stage.reach(CLICK));
    if (spot < 0) return false;
    this.#choose(spot);
    return true;
  }
}
