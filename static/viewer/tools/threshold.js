// The threshold: a slider over the histogram of confidence, and two keys.

import { at } from "../dom.js";
import { Histogram } from "../histogram.js";

/** @import { Store } from "../store.js" */
/** @import { Tool } from "./tool.js" */

const STEP = 0.01;
const PAUSE = 120; // ms that the hand must rest before lists are made anew

/** @implements {Tool} */
export class ThresholdTool {
  #store;
  #changed;
  #settled;
  #slider = at("score", HTMLInputElement);
  #histogram;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {Store} store
   * @param {number} floor least score that is stored
   * @param {() => void} changed called at each step
   * @param {() => void} settled called when the hand rests
   */
  constructor(store, floor, changed, settled) {
    this.#store = store;
    this.#changed = changed;
    this.#settled = settled;
    this.#histogram = new Histogram(at("histogram", HTMLCanvasElement), store, floor);
    this.#slider.min = String(floor);
    this.#slider.addEventListener("input", () => this.#move(Number(this.#slider.value)));
    addEventListener("resize", () => this.#histogram.draw());
  }

  /** Let it be moved: the candidates are here. */
  activate() {
    this.#slider.disabled = false;
    this.#set(this.#store.minScore);
  }

  /** @param {string} name "[" for less, "]" for more */
  key(name) {
    this.#move(this.#store.minScore + (name === "[" ? -STEP : STEP));
    return true;
  }

  /** @param {number} score */
  #move(score) {
    this.#set(score);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#settled, PAUSE);
  }

  /** @param {number} score */
  #set(score) {
    const { min, max } = this.#slider;
    this.#slider.value = String(Math.min(Number(max), Math.max(Number(min), score)));
    this.#store.setMinScore(Number(this.#slider.value));
    at("score-value").textContent = this.#store.minScore.toFixed(2);
    this.#histogram.draw();
    this.#changed();
  }
}
