// Histogram of the candidates' confidence, above the slider of the threshold.

/** @import { Store } from "./store.js" */

const BINS = 60;

/** Bars from `floor` to 1 on a log scale; those from the threshold up are full. */
export class Histogram {
  /** @type {number[] | null} */
  #bins = null;

  /** @param {HTMLCanvasElement} canvas @param {Store} store @param {number} floor */
  constructor(canvas, store, floor) {
    this.canvas = canvas;
    this.store = store;
    this.floor = floor;
  }

  draw() {
    const { canvas, store, floor } = this;
    if (!store.loaded) return;
    const bins = (this.#bins ??= countBins(store.columns.score, floor));
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const context = canvas.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    const most = Math.log1p(Math.max(...bins, 1));
    const step = canvas.clientWidth / BINS;
    const style = getComputedStyle(canvas);
    bins.forEach((count, bin) => {
      if (!count) return;
      const height = Math.max(1.5, (canvas.clientHeight * Math.log1p(count)) / most);
      const over = floor + ((bin + 1) / BINS) * (1 - floor) > store.minScore;
      context.fillStyle = over ? style.color : style.borderColor;
      context.fillRect(bin * step, canvas.clientHeight - height, Math.max(1, step - 1), height);
    });
  }
}

/** How many scores lie in each bar. @param {Float64Array} score @param {number} floor @returns {number[]} */
export function countBins(score, floor) {
  const bins = new Array(BINS).fill(0);
  for (const one of score) bins[Math.max(0, Math.min(BINS - 1, Math.floor(((one - floor) / (1 - floor)) * BINS)))]++;
  return bins;
}
