// What is known of one run and of what people said: candidates, figures, regions, threshold. Knows no viewer, no page.
//
// A spot is a place that can be judged, as a number: 0 .. n-1 are the candidates of the run, best first; from n on come
// judged places at which this run has no candidate (figures that a person added, or that another run found).

import { countFrom } from "./columns.js";
import { inOutline, inPolygon } from "./geometry.js";

/** @import { Columns } from "./columns.js" */
/** @import { Box, Outline, Point, RegionKind } from "./geometry.js" */
/** @import { Tissue } from "./tissue.js" */
/** @import { Label, Verdict } from "./words.js" */

/**
 * @typedef {object} Figure  a place that somebody has judged
 * @property {string} id
 * @property {number} x level-0 px
 * @property {number} y
 * @property {boolean} added by a person, where the run had found nothing
 * @property {boolean} [screened] added while the slide was screened field by field
 * @property {Label} label
 * @property {boolean | null} [atypical] of a mitotic one, what its reader said; null: nothing
 * @property {number} version grows with every verdict on it
 * @property {string | null} by
 * @property {string | null} at
 * @property {number | null} candidate key of the run's candidate at this place
 * @property {boolean} [pending] the server does not have it yet
 */

/** @typedef {{id: string, kind: RegionKind, polygon: Point[], mm2?: number | null, by?: string | null}} Region  polygon: level-0 px */
/** @typedef {{ai: number, reviewed: number, added: number, unseen: number, atypical?: number | null} & Record<Verdict, number>} Tally */

/** @type {Columns} */
const EMPTY = {
  n: 0,
  score: new Float64Array(),
  x: new Float32Array(),
  y: new Float32Array(),
  key: new Float64Array(),
};

export class Store {
  /** @type {Columns} */
  columns = EMPTY;
  loaded = false;
  minScore;
  selected = -1;
  /** @type {Region[]} */
  regions = [];
  /** How likely candidates are atypical, by their key. @type {Map<number, number>} */
  atypical = new Map();
  /** Where there is tissue; null: not measured, or not here yet. @type {Tissue | null} */
  tissue = null;
  /** Grows with every change of what is counted. */
  revision = 0;
  #Index;
  /**
   * Made when it is first needed, and so the map of keys: a first picture waits for neither.
   * @type {import("flatbush").default | null}
   */
  #madeIndex = null;
  /** @type {Map<number, number> | null} */
  #madeKeys = null;
  /** @type {Map<string, Figure>} */
  #figures = new Map();
  /** @type {Map<number, string>} candidate key -> id of its figure */
  #figureOfKey = new Map();
  /** @type {(string | null)[]} ids of figures without a candidate; a slot is never used twice */
  #loose = [];
  /** @type {Map<string, string>} id under which a figure was kept -> its id now */
  #alias = new Map();
  /** @type {Uint8Array | null} of each candidate, whether it lies where figures are counted; null: all do */
  #evaluable = null;
  /** @type {Uint32Array | null} how many of the first i candidates do */
  #counted = null;
  /** @type {Set<() => void>} */
  #observers = new Set();

  /** @param {number} minScore @param {typeof import("flatbush").default} Index */
  constructor(minScore, Index) {
    this.minScore = minScore;
    this.#Index = Index;
  }

  /** @param {() => void} observer called after every change */
  observe(observer) {
    this.#observers.add(observer);
  }

  /** Tell the observers. counts: whether what is counted has changed, or only what is shown. */
  changed({ counts = false } = {}) {
    if (counts) this.revision++;
    for (const observer of this.#observers) observer();
  }

  /** Make the index now, while nobody waits for it. */
  prepare() {
    return this.#index !== null;
  }

  /** @param {Columns} columns */
  load(columns) {
    this.columns = columns;
    this.loaded = true;
    this.#madeKeys = this.#madeIndex = null;
    this.#count();
    this.changed({ counts: true });
  }

  /**
   * Take what the server says of all figures; what is on its way there keeps what the reader said.
   * @param {Figure[]} figures
   */
  setFigures(figures) {
    const waiting = [...this.#figures.values()].filter((figure) => figure.pending);
    const known = new Set(figures.map((figure) => figure.id));
    for (const figure of [...this.#figures.values()])
      if (!figure.pending && !known.has(figure.id)) this.#forget(figure.id);
    const busy = new Set(waiting.map((figure) => figure.id));
    const busyKeys = new Set(waiting.map((figure) => figure.candidate));
    busyKeys.delete(null);
    for (const figure of figures) if (!busy.has(figure.id) && !busyKeys.has(figure.candidate)) this.#keep(figure);
    this.changed({ counts: true });
  }

  /** Take one figure; `replaces` is the id under which it was kept until now. @param {Figure} figure */
  putFigure(figure, replaces = figure.id) {
    const old = this.#alias.get(replaces) ?? replaces;
    if (old !== figure.id) {
      this.#alias.set(replaces, figure.id);
      this.#alias.set(old, figure.id);
      const slot = this.#loose.indexOf(old);
      this.#figures.delete(old);
      if (slot >= 0 && figure.candidate === null) this.#loose[slot] = figure.id;
      else if (slot >= 0) this.#loose[slot] = null;
    }
    this.#keep(figure);
    this.changed({ counts: true });
  }

  /** Forget a figure that the server does not have. @param {string} id */
  dropFigure(id) {
    this.#forget(this.#alias.get(id) ?? id);
    this.changed({ counts: true });
  }

  /** @param {Region[]} regions */
  setRegions(regions) {
    this.regions = regions;
    this.#count();
    this.changed({ counts: true });
  }

  /** @param {Tissue | null} tissue */
  setTissue(tissue) {
    this.tissue = tissue;
    this.#count();
    this.changed({ counts: true });
  }

  /** @param {number} score */
  setMinScore(score) {
    this.minScore = score;
    this.changed({ counts: true });
  }

  /** @param {number} spot -1 for none */
  select(spot) {
    this.selected = spot;
    this.changed();
  }

  /** How many candidates have at least the chosen score. */
  get visible() {
    return countFrom(this.columns.score, this.minScore);
  }

  get spots() {
    return this.columns.n + this.#loose.length;
  }

  /** How many candidates and figures there are: spots, but for those of figures that were taken back. */
  get total() {
    const left = this.#loose.filter((id) => id !== null && this.#figures.get(id)?.label);
    return this.columns.n + left.length;
  }

  /** @param {number} spot @returns {Figure | undefined} */
  figure(spot) {
    const { n, key } = this.columns;
    return this.#figures.get((spot < n ? this.#figureOfKey.get(key[spot]) : this.#loose[spot - n]) ?? "");
  }

  /** How likely a candidate is atypical, null where that is not known. @param {number} spot */
  likelyAtypical(spot) {
    return this.atypical.get(this.columns.key[spot] ?? -1) ?? null;
  }

  /** @param {number} spot @returns {Label} */
  label(spot) {
    return this.figure(spot)?.label ?? "";
  }

  /**
   * Where a spot is, in level-0 px; score null where the run has no candidate.
   * @param {number} spot
   * @returns {{x: number, y: number, score: number | null}}
   */
  place(spot) {
    const { n, x, y, score } = this.columns;
    if (spot < n) return { x: x[spot], y: y[spot], score: score[spot] };
    const figure = this.figure(spot);
    if (!figure) throw new RangeError(`There is no spot ${spot}.`);
    return { x: figure.x, y: figure.y, score: null };
  }

  /** The spot of a figure, -1 for none. @param {string} id */
  spotOf(id) {
    const figure = this.#figures.get(this.#alias.get(id) ?? id);
    if (!figure) return -1;
    const index = figure.candidate === null ? undefined : this.#indexOfKey.get(figure.candidate);
    return index ?? this.columns.n + this.#loose.indexOf(figure.id);
  }

  /** Spots that carry a verdict now. */
  judged() {
    const spots = [];
    for (const figure of this.#figures.values()) if (figure.label) spots.push(this.spotOf(figure.id));
    return spots;
  }

  /**
   * Whether a place is where figures are counted: on tissue, in a tumour region where there is one, in no exclusion.
   * @param {number} x
   * @param {number} y
   */
  counts(x, y) {
    if (this.tissue && !this.tissue.near(x, y)) return false;
    const without = this.regions.filter(({ kind }) => kind === "exclusion" || kind === "glass");
    if (without.some(({ polygon }) => inPolygon(polygon, x, y))) return false;
    return this.regions.every(({ kind }) => kind !== "tumour") || this.inTumour(x, y);
  }

  /** Whether a place lies in a tumour region. @param {number} x level-0 px @param {number} y */
  inTumour(x, y) {
    return this.regions.some(({ kind, polygon }) => kind === "tumour" && inPolygon(polygon, x, y));
  }

  /** Whether a spot lies where figures are counted. @param {number} spot */
  evaluable(spot) {
    if (spot < this.columns.n) return !this.#evaluable || this.#evaluable[spot] === 1;
    const { x, y } = this.place(spot);
    return this.counts(x, y);
  }

  /** Whether a spot is counted: there, and called mitotic, or a candidate that nobody has judged. @param {number} spot */
  counted(spot) {
    const label = this.label(spot);
    return (label === "mitotic" || (label === "" && spot < this.visible)) && this.evaluable(spot);
  }

  /**
   * The counts at the threshold: by AI, and reviewed (candidates that nobody rejected, and figures called mitotic).
   * @param {Outline | null} [outline] count inside it alone
   */
  numbers(outline = null) {
    const { x, y } = this.columns;
    const { visible } = this;
    /** @param {number} spot */
    const inside = (spot) => {
      const place = this.place(spot);
      return this.evaluable(spot) && (!outline || inOutline(outline, place.x, place.y));
    };
    let ai = 0;
    if (outline) for (let i = 0; i < visible; i++) ai += Number(inOutline(outline, x[i], y[i]) && this.evaluable(i));
    else ai = this.#counted ? this.#counted[visible] : visible;
    /** @type {Tally} */
    const numbers = { ai, reviewed: ai, mitotic: 0, non_mitotic: 0, unsure: 0, added: 0, unseen: ai };
    for (const spot of this.judged()) {
      if (!inside(spot)) continue;
      const label = this.label(spot);
      if (label) numbers[label]++;
      if (label === "mitotic" && this.figure(spot)?.added) numbers.added++;
      const kind = this.figure(spot)?.atypical ?? null;
      if (kind !== null) numbers.atypical = (numbers.atypical ?? 0) + Number(kind);
      if (spot < visible) numbers.unseen--;
      numbers.reviewed += Number(label === "mitotic") - Number(spot < visible);
    }
    return numbers;
  }

  /**
   * The spot nearest to a point among those that show, within a distance in level-0 px; -1 for none.
   * @param {number} x
   * @param {number} y
   * @param {number} distance
   */
  nearest(x, y, distance) {
    let best = -1;
    let least = distance;
    const { visible } = this;
    /** @param {number} index */
    const shows = (index) => index < visible || this.label(index) !== "";
    const [found] = this.#index?.neighbors(x, y, 1, distance, shows) ?? [];
    if (found !== undefined) [best, least] = [found, Math.hypot(this.columns.x[found] - x, this.columns.y[found] - y)];
    for (let spot = this.columns.n; spot < this.spots; spot++) {
      if (!this.label(spot)) continue;
      const place = this.place(spot);
      const away = Math.hypot(place.x - x, place.y - y);
      if (away < least) [best, least] = [spot, away];
    }
    return best;
  }

  /**
   * The figure nearest to a point, also one whose verdict was taken back, -1 for none.
   * @param {number} x
   * @param {number} y
   * @param {number} distance
   */
  nearestFigure(x, y, distance) {
    let [best, least] = [-1, distance];
    for (const figure of this.#figures.values()) {
      const away = Math.hypot(figure.x - x, figure.y - y);
      if (away <= least) [best, least] = [this.spotOf(figure.id), away];
    }
    return best;
  }

  /**
   * The stored candidate nearest to a point whatever its score, -1 for none.
   * @param {number} x
   * @param {number} y
   * @param {number} distance
   */
  nearestCandidate(x, y, distance) {
    return this.#index?.neighbors(x, y, 1, distance)[0] ?? -1;
  }

  /** Candidates from the threshold up in a box of level-0 px. @param {Box} box */
  within(box) {
    const { visible } = this;
    return this.#index?.search(...box, (index) => index < visible) ?? [];
  }

  get #index() {
    const { n, x, y } = this.columns;
    if (!n || this.#madeIndex) return this.#madeIndex;
    const index = new this.#Index(n, 16, Float32Array);
    for (let i = 0; i < n; i++) index.add(x[i], y[i]);
    index.finish();
    return (this.#madeIndex = index);
  }

  get #indexOfKey() {
    if (this.#madeKeys) return this.#madeKeys;
    /** @type {Map<number, number>} */
    const keys = new Map();
    this.columns.key.forEach((key, index) => keys.set(key, index));
    return (this.#madeKeys = keys);
  }

  /** @param {Figure} figure */
  #keep(figure) {
    this.#figures.set(figure.id, figure);
    if (figure.candidate !== null && this.#indexOfKey.has(figure.candidate))
      this.#figureOfKey.set(figure.candidate, figure.id);
    else if (!this.#loose.includes(figure.id)) this.#loose.push(figure.id);
  }

  /** @param {string} id */
  #forget(id) {
    const figure = this.#figures.get(id);
    if (!figure) return;
    this.#figures.delete(id);
    if (figure.candidate !== null && this.#figureOfKey.get(figure.candidate) === id)
      this.#figureOfKey.delete(figure.candidate);
    const slot = this.#loose.indexOf(id);
    if (slot >= 0) this.#loose[slot] = null;
  }

  #count() {
    this.#counted = this.#evaluable = null;
    if (!this.regions.length && !this.tissue) return;
    const { n, x, y } = this.columns;
    const evaluable = Uint8Array.from({ length: n }, (_, i) => Number(this.counts(x[i], y[i])));
    const counted = new Uint32Array(n + 1);
    for (let i = 0; i < n; i++) counted[i + 1] = counted[i] + evaluable[i];
    [this.#evaluable, this.#counted] = [evaluable, counted];
  }
}
