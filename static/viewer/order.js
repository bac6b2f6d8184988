// In which order the gallery shows spots, and which of them.

/** @import { Store } from "./store.js" */
/** @typedef {"threshold" | "score" | "place"} Order */
/** @typedef {"all" | "open" | "mitotic" | "non_mitotic" | "unsure" | "added"} Filter */

const BAND_UM = 500; // height of a band in which "by place" reads to and fro

/**
 * @param {Store} store
 * @param {Order} order
 * @param {Filter} filter
 * @param {number} mpp um per level-0 px
 * @returns {Int32Array | number[]} spots
 */
export function gallery(store, order, filter, mpp) {
  const spots = order === "threshold" ? byCloseness(store) : shown(store);
  const kept = filter === "all" ? spots : spots.filter((spot) => passes(store, spot, filter));
  return order === "place" ? byPlace(store, kept, mpp) : kept;
}

/** @param {Store} store @param {number} spot @param {Filter} filter */
function passes(store, spot, filter) {
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
