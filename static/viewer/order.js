// In which order the gallery shows spots, and which of them.

import { inHotspot } from "./scene.js";

/** @import { Store } from "./store.js" */
/** @import { Scene } from "./scene.js" */
/** @typedef {"threshold" | "score" | "place" | "hotspot"} Order */
/** @typedef {"all" | "counted" | "hotspot" | "tumour" | "open" | "mitotic" | "non_mitotic" | "unsure" | "added"} Filter */

const BAND_UM = 500; // height of a band in which "by place" reads to and fro

/**
 * @param {Store} store
 * @param {Order} order
 * @param {Filter} filter
 * @param {number} mpp um per level-0 px
 * @param {Scene} scene
 * @returns {Int32Array | number[]} spots
 */
export function gallery(store, order, filter, mpp, scene) {
  const spots = order === "threshold" ? byCloseness(store) : shown(store);
  const kept = filter === "all" ? spots : spots.filter((spot) => passes(store, spot, filter, scene));
  if (order === "hotspot") return hotspotFirst(store, kept, scene);
  return order === "place" ? byPlace(store, kept, mpp) : kept;
}

/** Whether a spot counts and lies in the hotspot. @param {Store} store @param {number} spot @param {Scene} scene */
function inTheHotspot(store, spot, scene) {
  const { x, y } = store.place(spot);
  return store.evaluable(spot) && inHotspot(scene, x, y);
}

/** @param {Store} store @param {ArrayLike<number>} spots @param {Scene} scene */
function hotspotFirst(store, spots, scene) {
  const all = Array.from(spots);
  const inside = new Set(all.filter((spot) => inTheHotspot(store, spot, scene)));
  return [...inside, ...all.filter((spot) => !inside.has(spot))];
}

/** @param {Store} store @param {number} spot @param {Filter} filter @param {Scene} scene */
function passes(store, spot, filter, scene) {
  if (filter === "counted") return store.counted(spot);
  if (filter === "hotspot") return inTheHotspot(store, spot, scene);
  if (filter === "tumour") {
    const { x, y } = store.place(spot);
    return store.inTumour(x, y);
  }
  const label = store.label(spot);
  if (filter === "open") return label === "" && spot < store.columns.n;
  return filter === "added" ? spot >= store.columns.n : label === filter;
}

/** Candidates from the threshold up by score, then what was judged below it or beside the run. @param {Store} store */
function shown(store) {
  const { visible } = store;
  const below = store
    .judged()
    .filter((spot) => spot >= visible)
    .sort((a, b) => a - b);
  const spots = new Int32Array(visible + below.length);
  for (let i = 0; i < visible; i++) spots[i] = i;
  spots.set(below, visible);
  return spots;
}

/**
 * All candidates, the nearest to the threshold first: they are sorted by score, so two fingers are enough.
 * @param {Store} store
 */
function byCloseness(store) {
  const { n, score } = store.columns;
  const added = store
    .judged()
    .filter((spot) => spot >= n)
    .sort((a, b) => a - b);
  const spots = new Int32Array(n + added.length);
  let up = store.visible - 1;
  let down = store.visible;
  for (let i = 0; i < n; i++) {
    const takeUp = down >= n || (up >= 0 && score[up] - store.minScore <= store.minScore - score[down]);
    spots[i] = takeUp ? up-- : down++;
  }
  spots.set(added, n);
  return spots;
}

/**
 * Band by band from the top, to and fro, as one reads a slide under a microscope.
 * @param {Store} store
 * @param {ArrayLike<number>} spots
 * @param {number} mpp um per level-0 px
 */
function byPlace(store, spots, mpp) {
  const band = BAND_UM / mpp;
  const keyed = Array.from(spots, (spot) => {
    const { x, y } = store.place(spot);
    const row = Math.floor(y / band);
    return [row, row % 2 ? -x : x, spot];
  });
  return keyed.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((key) => key[2]);
}
