// The density of candidates on a grid over the slide: a heatmap for low zoom, and a quick count of what is in view.

/** @import { Box } from "./geometry.js" */

const CELLS = 200; // along the longer side

export class Density {
  /** @param {number} width @param {number} height of the slide in level-0 px */
  constructor(width, height) {
    this.cell = Math.max(width, height) / CELLS;
    this.columns = Math.max(1, Math.ceil(width / this.cell));
    this.rows = Math.max(1, Math.ceil(height / this.cell));
    this.counts = new Uint32Array(this.columns * this.rows);
  }

  /** Count the first `n` of the points. @param {ArrayLike<number>} x @param {ArrayLike<number>} y @param {number} n */
  fill(x, y, n) {
    this.counts.fill(0);
    for (let i = 0; i < n; i++) {
      const column = Math.min(this.columns - 1, (x[i] / this.cell) | 0);
      const row = Math.min(this.rows - 1, (y[i] / this.cell) | 0);
      this.counts[row * this.columns + column]++;
    }
  }

  /** At most how many points lie in a box [x0, y0, x1, y1]: those of all cells that it touches. @param {Box} box */
  atMost([x0, y0, x1, y1]) {
    const [left, right] = [Math.max(0, (x0 / this.cell) | 0), Math.min(this.columns - 1, (x1 / this.cell) | 0)];
    const [top, bottom] = [Math.max(0, (y0 / this.cell) | 0), Math.min(this.rows - 1, (y1 / this.cell) | 0)];
    let sum = 0;
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) sum += this.counts[row * this.columns + column];
    }
    return sum;
  }

  /** The counts spread over their neighbours (1 2 1 in both directions, three times), for a picture without steps. */
  smooth() {
    let from = Float32Array.from(this.counts);
    for (let pass = 0; pass < 3; pass++)
      from = spread(spread(from, this.columns, this.rows, 1), this.columns, this.rows, this.columns);
    return from;
  }

  /** RGBA bytes of the heatmap and the count per cell at its brightest. */
  picture() {
    const values = this.smooth();
    const most = values.reduce((a, b) => Math.max(a, b), 0);
    const bytes = new Uint8ClampedArray(4 * values.length);
    for (let i = 0; i < values.length; i++) {
      if (values[i] < 0.02) continue;
      const share = Math.log1p(values[i]) / Math.log1p(most);
      bytes.set(COLOURS[Math.round(share * (COLOURS.length - 1))], 4 * i);
    }
    return { bytes, most };
  }
}

/**
 * From see-through blue over green to yellow: told apart on pink, and by readers with any colour vision.
 * @param {number} share 0..1
 * @returns {number[]} RGBA, 0..255
 */
export function colour(share) {
  const stops = [
    [0, 40, 90, 200, 0],
    [0.25, 30, 110, 200, 120],
    [0.6, 30, 170, 130, 180],
    [1, 253, 220, 40, 225],
  ];
  const end = Math.max(
    1,
    stops.findIndex((stop) => stop[0] >= share),
  );
  const [a, b] = [stops[end - 1], stops[end]];
  const along = (share - a[0]) / (b[0] - a[0]);
  return [1, 2, 3, 4].map((i) => a[i] + along * (b[i] - a[i]));
}

const COLOURS = Array.from({ length: 256 }, (_, i) => colour(i / 255));

/**
 * One pass of (1 2 1) along rows (step 1) or columns.
 * @param {Float32Array<ArrayBuffer>} from
 * @param {number} columns
 * @param {number} rows
 * @param {number} step
 */
function spread(from, columns, rows, step) {
  const to = new Float32Array(from.length);
  const along = step === 1 ? columns : rows;
  for (let i = 0; i < from.length; i++) {
    const position = step === 1 ? i % columns : (i / columns) | 0;
    const before = position > 0 ? from[i - step] : 0;
    const after = position < along - 1 ? from[i + step] : 0;
    to[i] = (before + 2 * from[i] + after) / 4;
  }
  return to;
}
