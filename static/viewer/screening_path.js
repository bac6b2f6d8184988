// In which order fields are shown, from each to one beside it where that can be: row by row, to and fro, or along the rim
// of what is left, whichever is the shorter way; pieces of tissue one after the other.

/** @typedef {{row: number, from: number, to: number}} Run  fields beside each other, both ends included */
/** @typedef {Run[]} Strip  runs under each other, each beside one of the row before and no other */

const MOST = 3000; // fields of which the way along the rim is tried

/**
 * Every field that has something to be seen, once.
 * @param {ArrayLike<number | boolean>} wanted of each field, row by row
 * @param {number} columns of fields
 * @param {number} rows
 * @returns {number[]} numbers of fields
 */
export function screeningPath(wanted, columns, rows) {
  const inRows = byRows(wanted, columns, rows);
  if (inRows.length > MOST || lengthOf(inRows, columns) < inRows.length) return inRows; // no jump at all
  const along = alongTheRim(inRows, columns);
  return lengthOf(along, columns) < lengthOf(inRows, columns) ? along : inRows;
}

/** How many fields a way is long, from the middle of each to the next. @param {number[]} path @param {number} columns */
export function lengthOf(path, columns) {
  return path.slice(1).reduce((sum, field, i) => sum + apart(path[i], field, columns), 0);
}

/** @param {number} a field @param {number} b @param {number} columns */
function apart(a, b, columns) {
  return Math.max(Math.abs((a % columns) - (b % columns)), Math.abs(Math.floor(a / columns) - Math.floor(b / columns)));
}

/**
 * Always to the field beside it that has the fewest open ones beside itself (Warnsdorff's rule), straight on where
 * there are several: nothing is left behind. Where there is none, to the nearest that is open.
 * @param {number[]} fields
 * @param {number} columns
 */
function alongTheRim(fields, columns) {
  const open = new Set(fields);
  /** @param {number} field */
  const beside = (field) =>
    [1, columns, -1, -columns, columns + 1, columns - 1, -columns + 1, -columns - 1]
      .map((step) => field + step)
      .filter((other) => open.has(other) && apart(field, other, columns) === 1);
  const path = [];
  let [at, step] = [fields[0], 0];
  for (;;) {
    open.delete(at);
    path.push(at);
    if (!open.size) return path;
    const ways = beside(at).map((to) => ({
      to,
      cost: 4 * beside(to).length + 2 * diagonal(at, to) - Number(to - at === step),
    }));
    const next = ways.length
      ? ways.reduce((best, way) => (way.cost < best.cost ? way : best)).to
      : nearestOf([...open], at);
    [at, step] = [next, next - at];
  }

  /** @param {number} from @param {number} to */
  function diagonal(from, to) {
    return Number(from % columns !== to % columns && Math.floor(from / columns) !== Math.floor(to / columns));
  }

  /** @param {number[]} some @param {number} from */
  function nearestOf(some, from) {
    return some.reduce((best, one) => (apart(one, from, columns) < apart(best, from, columns) ? one : best));
  }
}

/**
 * @param {ArrayLike<number | boolean>} wanted
 * @param {number} columns
 * @param {number} rows
 */
function byRows(wanted, columns, rows) {
  const left = stripsOf(wanted, columns, rows);
  /** @type {number[]} */
  const path = [];
  let [x, y] = [0, 0];
  while (left.length) {
    const { strip, up } = nearest(left, x, y);
    left.splice(left.indexOf(strip), 1);
    for (const { row, from, to } of up ? [...strip].reverse() : strip) {
      const step = Math.abs(x - from) <= Math.abs(x - to) ? 1 : -1;
      const [first, last] = step === 1 ? [from, to] : [to, from];
      for (let column = first; column !== last + step; column += step) path.push(row * columns + column);
      [x, y] = [last, row];
    }
  }
  return path;
}

/**
 * The strip with the nearest end, and whether it is begun from below.
 * @param {Strip[]} strips
 * @param {number} x
 * @param {number} y
 */
function nearest(strips, x, y) {
  let [best, least] = [{ strip: strips[0], up: false }, Infinity];
  for (const strip of strips) {
    for (const up of [false, true]) {
      const { row, from, to } = up ? strip[strip.length - 1] : strip[0];
      const away = Math.abs(row - y) + Math.min(Math.abs(from - x), Math.abs(to - x));
      if (away < least) [best, least] = [{ strip, up }, away];
    }
  }
  return best;
}

/** @param {ArrayLike<number | boolean>} wanted @param {number} columns @param {number} rows @returns {Strip[]} */
function stripsOf(wanted, columns, rows) {
  /** @type {Strip[]} */
  const strips = [];
  /** @type {Strip[]} those that end in the row before */
  let open = [];
  for (let row = 0; row < rows; row++) {
    const runs = runsOf(wanted, columns, row);
    open = runs.map((run) => {
      const above = open.filter((strip) => touch(strip[strip.length - 1], run));
      const beside = above.length === 1 ? runs.filter((other) => touch(above[0][above[0].length - 1], other)) : [];
      const strip = beside.length === 1 ? above[0] : [];
      if (!strip.length) strips.push(strip);
      return strip;
    });
    runs.forEach((run, i) => open[i].push(run));
  }
  return strips;
}

/** @param {ArrayLike<number | boolean>} wanted @param {number} columns @param {number} row @returns {Run[]} */
function runsOf(wanted, columns, row) {
  /** @type {Run[]} */
  const runs = [];
  for (let column = 0; column < columns; column++) {
    if (!wanted[row * columns + column]) continue;
    const last = runs[runs.length - 1];
    if (last && last.to === column - 1) last.to = column;
    else runs.push({ row, from: column, to: column });
  }
  return runs;
}

/** Whether two runs of rows that follow each other lie beside each other. @param {Run} one @param {Run} other */
const touch = (one, other) => one.from <= other.to && other.from <= one.to;
