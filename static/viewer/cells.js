// The cells of a slide by which it is told what has been seen: bits from the server, and what is shown now.

import { rgbOf } from "./colours.js";
import { make } from "./dom.js";

/** @import { Box, Transform } from "./geometry.js" */

/**
 * @typedef {object} Coverage  what the server says
 * @property {number} columns
 * @property {number} rows
 * @property {string} evaluable base64 of bits, row by row
 * @property {string} cells of those that were seen
 * @property {number} um_per_px of the screen, at most, for a cell to be seen
 * @property {number} seconds for which, at least
 */
/** @typedef {[row: number, first: number, end: number]} Run  cells beside each other; end: one after the last */

export class Cells {
  columns;
  rows;
  evaluable;
  seen;
  /** Of each, whether it is to be seen: all that are evaluable, or some of them. */
  wanted;
  #width;
  #height;
  /** Seconds for which each was shown. */
  #shown;
  /** @type {Set<number>} seen since the server was told */
  #news = new Set();
  /** Grows with every change of what is seen or evaluable. */
  version = 0;

  /** @param {Coverage} coverage @param {{width: number, height: number}} slide level-0 px */
  constructor({ columns, rows, evaluable, cells }, { width, height }) {
    this.columns = columns;
    this.rows = rows;
    this.evaluable = bits(evaluable, columns * rows);
    this.seen = bits(cells, columns * rows);
    this.wanted = this.evaluable;
    this.#width = width / columns;
    this.#height = height / rows;
    this.#shown = new Float32Array(columns * rows);
  }

  /** (width, height) of a cell, level-0 px. */
  get size() {
    return [this.#width, this.#height];
  }

  /** Whether this is of the same grid. @param {Coverage} coverage */
  fits({ columns, rows }) {
    return this.columns === columns && this.rows === rows;
  }

  /** What is evaluable now, and what was seen besides. @param {Coverage} coverage */
  update({ evaluable, cells }) {
    this.evaluable = this.wanted = bits(evaluable, this.seen.length);
    const seen = bits(cells, this.seen.length);
    for (let i = 0; i < seen.length; i++) this.seen[i] |= seen[i];
    this.version++;
  }

  /** Only some of what is evaluable is to be seen. @param {(cell: number) => boolean} some */
  want(some) {
    this.wanted = this.evaluable.map((is, cell) => Number(is && some(cell)));
  }

  /** Of the cells that are to be seen, the share that was. */
  share() {
    return shareOf(this.wanted, this.seen);
  }

  /** The same of all that is evaluable. */
  shareOfAll() {
    return shareOf(this.evaluable, this.seen);
  }

  /** Whether the server does not know of some. */
  get waiting() {
    return this.#news.size > 0;
  }

  /** The middle of a cell, level-0 px. @param {number} cell @returns {[number, number]} */
  middle(cell) {
    return [((cell % this.columns) + 0.5) * this.#width, (Math.floor(cell / this.columns) + 0.5) * this.#height];
  }

  /**
   * A picture has been shown so long: each cell whose middle lies in it counts.
   * @param {Transform} transform level-0 px -> px of the screen
   * @param {Box} frame of the picture, px of the screen
   * @param {Box} box around it, level-0 px
   * @param {number} seconds
   * @param {number} enough seconds, for a cell to be seen
   */
  show([a, b, c, d, e, f], frame, [x0, y0, x1, y1], seconds, enough) {
    const [left, right] = [Math.max(0, Math.floor(x0 / this.#width)), Math.min(this.columns, x1 / this.#width)];
    const [top, bottom] = [Math.max(0, Math.floor(y0 / this.#height)), Math.min(this.rows, y1 / this.#height)];
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        const cell = row * this.columns + column;
        if (this.seen[cell]) continue;
        const [x, y] = this.middle(cell);
        const [screenX, screenY] = [a * x + c * y + e, b * x + d * y + f];
        if (screenX < frame[0] || screenY < frame[1] || screenX > frame[2] || screenY > frame[3]) continue;
        this.#shown[cell] += seconds;
        if (this.#shown[cell] < enough) continue;
        this.seen[cell] = 1;
        this.#news.add(cell);
        this.version++;
      }
    }
  }

  /** What the server does not know yet, at most so many runs; taken, unless it is given back. @param {number} most */
  take(most) {
    const cells = [...this.#news].sort((one, other) => one - other);
    /** @type {Run[]} */
    const runs = [];
    for (const cell of cells) {
      const [row, column] = [Math.floor(cell / this.columns), cell % this.columns];
      const last = runs[runs.length - 1];
      if (last && last[0] === row && last[2] === column) last[2]++;
      else if (runs.length < most) runs.push([row, column, column + 1]);
      else break;
      this.#news.delete(cell);
    }
    return runs;
  }

  /** The server did not get these. @param {Run[]} runs */
  giveBack(runs) {
    for (const [row, first, end] of runs)
      for (let column = first; column < end; column++) this.#news.add(row * this.columns + column);
  }
}

/** @param {Uint8Array} all @param {Uint8Array} seen */
function shareOf(all, seen) {
  let [done, of] = [0, 0];
  for (let i = 0; i < all.length; i++) {
    of += all[i];
    done += all[i] & seen[i];
  }
  return of ? done / of : 0;
}

/** @param {string} base64 @param {number} count @returns {Uint8Array} 0 or 1 of each */
function bits(base64, count) {
  const bytes = atob(base64);
  return Uint8Array.from({ length: count }, (_, i) => (bytes.charCodeAt(i >> 3) >> (7 - (i & 7))) & 1);
}

/** What is to be seen, and what has been, a pixel for each cell. @param {Cells} cells @param {number} [alpha] of what has been */
export function pictureOf({ columns, rows, evaluable, seen }, alpha = 255) {
  const pixels = new ImageData(columns, rows);
  const whole = new Uint32Array(pixels.data.buffer); // a pixel at once: there are up to two million
  const [open, done] = [word(rgbOf("selected"), 150), word(rgbOf("mitotic"), alpha)];
  for (let i = 0; i < evaluable.length; i++) if (evaluable[i]) whole[i] = seen[i] ? done : open;
  const picture = make("canvas", { width: columns, height: rows });
  picture.getContext("2d")?.putImageData(pixels, 0, 0);
  return picture;
}

/** A pixel as a number; every machine that runs a browser is little-endian. @param {number[]} rgb @param {number} alpha */
const word = ([r, g, b], alpha) => ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
