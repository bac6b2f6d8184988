// The compact answer with all candidates of a run, as typed arrays over the bytes that came.

/**
 * @typedef {object} Columns  candidates, best first
 * @property {number} n
 * @property {Float64Array} score 0..1
 * @property {Float32Array} x level-0 px
 * @property {Float32Array} y
 * @property {Float64Array} key of the candidate on the server
 */

const HEADER = 16; // bytes: two float64, how many and the smallest key
const EACH = 20; // bytes of a candidate: float64 score, float32 x, float32 y, uint32 key

/** @param {ArrayBuffer} buffer @returns {Columns} */
export function unpack(buffer) {
  if (buffer.byteLength < HEADER) throw new Error("The answer with the candidates is incomplete; reload the page.");
  const [n, first] = new Float64Array(buffer, 0, 2);
  if (buffer.byteLength !== HEADER + EACH * n)
    throw new Error("The answer with the candidates is incomplete; reload the page.");
  return {
    n,
    score: new Float64Array(buffer, HEADER, n),
    x: new Float32Array(buffer, HEADER + 8 * n, n),
    y: new Float32Array(buffer, HEADER + 12 * n, n),
    key: Float64Array.from(new Uint32Array(buffer, HEADER + 16 * n, n), (offset) => first + offset),
  };
}

/**
 * How many candidates have at least a score: a binary search, so that the slider recounts at once.
 * @param {Float64Array} score highest first
 * @param {number} least
 */
export function countFrom(score, least) {
  let low = 0;
  let high = score.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (score[middle] >= least) low = middle + 1;
    else high = middle;
  }
  return low;
}
