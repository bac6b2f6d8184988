// Transforms, outlines and lengths. A transform is [a, b, c, d, e, f]: x' = a x + c y + e, y' = b x + d y + f.

/** @typedef {[a: number, b: number, c: number, d: number, e: number, f: number]} Transform */
/** @typedef {[x: number, y: number]} Point */
/** @typedef {[x0: number, y0: number, x1: number, y1: number]} Box */
/** @typedef {"circle" | "square"} Shape */
/** @typedef {"tumour" | "exclusion" | "tissue" | "glass"} RegionKind  the last two correct what was measured */
/** @typedef {{x: number, y: number, shape: Shape, side: number, sideY: number}} Outline  centre, extent: level-0 px */

const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000];

/** @param {Transform} transform @param {number} x @param {number} y @returns {Point} */
export const apply = ([a, b, c, d, e, f], x, y) => [a * x + c * y + e, b * x + d * y + f];

/** @param {Transform} t @returns {Transform} */
export function invert([a, b, c, d, e, f]) {
  const det = a * d - b * c;
  if (det === 0) throw new Error("This transform has no inverse.");
  return [d / det, -b / det, -c / det, a / det, (c * f - d * e) / det, (b * e - a * f) / det];
}

/** Screen pixels per level-0 pixel. @param {Transform} transform */
export const scaleOf = (transform) => Math.hypot(transform[0], transform[1]);

/**
 * The box in level-0 px that holds a screen of this size, with a margin; holds for rotation.
 * @param {Transform} transform
 * @param {number} width screen px
 * @param {number} height
 * @param {number} [margin]
 * @returns {Box}
 */
export function boxInView(transform, width, height, margin = 0) {
  const back = invert(transform);
  const corners = [
    [-margin, -margin],
    [width + margin, -margin],
    [-margin, height + margin],
    [width + margin, height + margin],
  ];
  const points = corners.map(([x, y]) => apply(back, x, y));
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/**
 * Whether a point lies in a polygon (not closed). Non-zero rule, as on the server: all loops count.
 * @param {Point[]} polygon
 * @param {number} x
 * @param {number} y
 */
export function inPolygon(polygon, x, y) {
  let winding = 0;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i];
    const [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) winding += yi > y ? 1 : -1;
  }
  return winding !== 0;
}

/**
 * The length of a line through points, and the area that it encloses where there are three or more, in words.
 * @param {Point[]} points level-0 px
 * @param {Point} mpp um per level-0 px
 */
export function measured(points, mpp) {
  const um = points.map(([x, y]) => [x * mpp[0], y * mpp[1]]);
  let [length, twice] = [0, 0];
  um.forEach(([x, y], i) => {
    const [nextX, nextY] = um[(i + 1) % um.length];
    if (i + 1 < um.length) length += Math.hypot(nextX - x, nextY - y);
    twice += x * nextY - nextX * y;
  });
  const long = length < 1000 ? `${Number(length.toPrecision(3))} µm` : `${Number((length / 1000).toPrecision(4))} mm`;
  return um.length < 3 ? long : `${long} · encloses ${Number((Math.abs(twice) / 2e6).toPrecision(3))} mm²`;
}

/**
 * How far a point is from the segment between two others.
 * @param {Point} a
 * @param {Point} b
 * @param {number} x
 * @param {number} y
 */
export function distanceToEdge([ax, ay], [bx, by], x, y) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(ax + along * dx - x, ay + along * dy - y);
}

/**
 * An outline of an area around a point.
 * @param {Shape} shape
 * @param {number} areaMm2
 * @param {Point} mpp um per level-0 px
 * @param {number} x
 * @param {number} y
 * @returns {Outline}
 */
export function outlineOf(shape, areaMm2, mpp, x, y) {
  const um = shape === "circle" ? 2 * Math.sqrt((areaMm2 * 1e6) / Math.PI) : Math.sqrt(areaMm2 * 1e6);
  return { x, y, shape, side: um / mpp[0], sideY: um / mpp[1] };
}

/**
 * Whether a point lies in an outline, its edge included.
 * @param {Outline} outline
 * @param {number} px
 * @param {number} py
 */
export function inOutline({ x, y, shape, side, sideY }, px, py) {
  const [dx, dy] = [(2 * (px - x)) / side, (2 * (py - y)) / sideY];
  return shape === "circle" ? dx * dx + dy * dy <= 1 : Math.abs(dx) <= 1 && Math.abs(dy) <= 1;
}

/**
 * The longest round length that is at most `widest` screen px.
 * @param {number} perUnit screen px per um (or per px)
 * @param {number} widest
 */
export const roundLength = (perUnit, widest) => LENGTHS.findLast((length) => length * perUnit <= widest) ?? LENGTHS[0];

/**
 * Magnification as it is said at a microscope: 40x is 0.25 um/px; and that of the scan, where the screen shows more.
 * @param {number} umPerPixel of the screen
 * @param {number} [mpp] um per level-0 px
 * @returns {string}
 */
export function magnification(umPerPixel, mpp = 0) {
  const times = 10 / umPerPixel;
  const words = `${times >= 10 ? Math.round(times) : times >= 1 ? times.toFixed(1).replace(/\.0$/, "") : times.toFixed(2)}×`;
  return umPerPixel < 0.8 * mpp ? `${words}, enlarged from ${magnification(mpp)}` : words;
}

/**
 * Share of a patch around a place that lies outside of the slide, where the detector sees a mirror image.
 * @param {number} x level-0 px
 * @param {number} y
 * @param {{width: number, height: number}} slide level-0 px
 * @param {number} side of the patch, level-0 px
 */
export function mirrorShare(x, y, { width, height }, side) {
  /** @param {number} at @param {number} whole */
  const inside = (at, whole) => Math.max(0, Math.min(at + side / 2, whole) - Math.max(at - side / 2, 0)) / side;
  return 1 - inside(x, width) * inside(y, height);
}

/**
 * @typedef {object} Place  where one looks
 * @property {number} x level-0 px, middle of the view
 * @property {number} y
 * @property {number} scale um (px where unknown) per screen pixel
 * @property {number} rotation degrees
 */

/**
 * A place as the end of an address: its scale in um, or in px where um/px is unknown, so that it holds when that is
 * entered.
 * @param {Place} place
 * @param {boolean} inUm
 */
export const placeToHash = ({ x, y, scale, rotation }, inUm) =>
  `#x=${x.toFixed(0)}&y=${y.toFixed(0)}&${inUm ? "scale" : "px"}=${Number(scale.toPrecision(4))}&r=${Math.round(rotation)}`;

/**
 * The place that an address names, or null.
 * @param {string} hash
 * @param {number | undefined} mpp um per level-0 px, where known
 * @returns {Place | null}
 */
export function placeFromHash(hash, mpp) {
  const values = new URLSearchParams(hash.replace(/^#/, ""));
  const [x, y, um, px] = ["x", "y", "scale", "px"].map((name) => Number(values.get(name) ?? NaN));
  const scale = Number.isNaN(px) ? um : px * (mpp ?? 1);
  if (![x, y, scale].every(Number.isFinite) || scale <= 0) return null;
  return { x, y, scale, rotation: Number(values.get("r")) || 0 };
}
