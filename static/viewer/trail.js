// Where the view has rested, so that one can go back there.

/** @import { Place } from "./geometry.js" */

const MOST = 100;
const NEAR = 0.25; // of the view: a place so near to the one before is the same

export class Trail {
  /** @type {Place[]} */
  #places = [];

  /** The view rests here. @param {Place} place @param {number} width of the view, screen px @param {number} unit um per level-0 px, 1 where unknown */
  visit(place, width, unit) {
    const last = this.#places.at(-1);
    if (last && same(last, place, (NEAR * width * place.scale) / unit)) this.#places.pop();
    this.#places.push(place);
    if (this.#places.length > MOST) this.#places.shift();
  }

  /** The place before this one; null where there is none. */
  back() {
    if (this.#places.length < 2) return null;
    this.#places.pop();
    return this.#places.pop() ?? null; // it is visited anew
  }
}

/** @param {Place} one @param {Place} other @param {number} near level-0 px */
function same(one, other, near) {
  const scale = Math.abs(Math.log(one.scale / other.scale)) < 0.1;
  return scale && one.rotation === other.rotation && Math.hypot(one.x - other.x, one.y - other.y) < near;
}
