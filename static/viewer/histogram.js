// How many candidates have which score, above the slider, so that a threshold is chosen with open eyes.

const BINS = 60;

/** Bars from `floor` to 1 on a log scale; those from the threshold up are full. */
export class Histogram {
  /** @param {HTMLCanvasElement} canvas @param {import("./store.js").Store} store @param {number} floor */
  constructor(canvas, store, floor) {
    [this.canvas, this.store, this.floor] = [canvas, store, floor];
    this.bins = null;
  }

  draw() {
    const { canvas, store, floor } = this;
    if (!store.loaded) return;
    if (!this.bins) this.bins = countBins(store.columns.score, floor);
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const most = Math.log1p(Math.max(...this.bins, 1));
    const step = canvas.clientWidth / BINS;
    const style = getComputedStyle(canvas);
    this.bins.forEach((count, bin) => {
      if (!count) return;
      const height = Math.max(1.5, (canvas.clientHeight * Math.log1p(count)) / most);
      const over = floor + ((bin + 1) / BINS) * (1 - floor) > store.minScore;
      context.fillStyle = over ? style.color : style.borderColor;
      context.fillRect(bin * step, canvas.clientHeight - height, Math.max(1, step - 1), height);
    });
  }
}

export function countBins(score, floor) {
  const bins = new Array(BINS).fill(0);
  for (const one of score) bins[Math.max(0, Math.min(BINS - 1, Math.floor(((one - floor) / (1 - floor)) * BINS)))]++;
  return bins;
}
