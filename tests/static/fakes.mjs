// Stand-ins that tests of several modules share.
import Flatbush from "flatbush";
import { Store } from "../../static/viewer/store.js";

/** Storage of a browser, in memory. */
export class Shelf {
  kept = new Map();
  getItem(name) {
    return this.kept.get(name) ?? null;
  }
  setItem(name, value) {
    this.kept.set(name, value);
  }
  removeItem(name) {
    this.kept.delete(name);
  }
  key(i) {
    return [...this.kept.keys()][i];
  }
  get length() {
    return this.kept.size;
  }
}

/** An error as the server's answers make them; status 0: no answer. */
export const failure = (status, body = {}) => Object.assign(new Error(`status ${status}`), { status, body });

/** A store with candidates. @param {[number, number, number][]} places x, y, score, best first */
export function storeOf(places, minScore = 0.5) {
  const store = new Store(minScore, Flatbush);
  store.load({
    n: places.length,
    score: Float64Array.from(places, (p) => p[2]),
    x: Float32Array.from(places, (p) => p[0]),
    y: Float32Array.from(places, (p) => p[1]),
    key: Float64Array.from(places, (_, i) => 1000 + i),
  });
  return store;
}

/** A figure as the server tells it. */
export const figure = (id, label, more = {}) => ({
  id,
  x: 0,
  y: 0,
  added: false,
  label,
  version: 1,
  by: "alice",
  at: null,
  candidate: null,
  ...more,
});

/** Let everything happen that waits for nothing. */
export const settled = () => new Promise((resolve) => setTimeout(resolve));
