// What is known of one run and of what people said: candidates, figures, regions, threshold. Knows no viewer and no page.
//
// A spot is a place that can be judged, as a number: 0 .. n-1 are the candidates of the run, best first; from n on come
// judged places at which this run has no candidate (figures that a person added, or that another run found).

import { countFrom } from "./columns.js";
import { inOutline, inPolygon } from "./geometry.js";

/** @typedef {{id: string, x: number, y: number, added: boolean, label: string, version: number, by: string?, at: string?, candidate: number?, pending?: boolean}} Figure */

const EMPTY = {
  n: 0,
  score: new Float64Array(),
  x: new Float32Array(),
  y: new Float32Array(),
  key: new Float64Array(),
};

export class Store {
  /** @type {import("./columns.js").Columns} */
  columns = EMPTY;
  loaded = false;
  minScore;
  selected = -1;
  regions = [];
  /** Grows with every change of what is counted. */
  revision = 0;
  #Index;
  /** @type {import("flatbush").default | null} made when it is first needed, and so the map of keys: a first picture waits for neither */
  #madeIndex = null;
  /** @type {Map<number, number> | null} */
  #madeKeys = null;
  /** @type {Map<string, Figure>} */
  #figures = new Map();
  /** @type {Map<number, string>} candidate key -> id of its figure */
  #figureOfKey = new Map();
  /** @type {(string | null)[]} ids of figures without a candidate; a slot is never used twice */
  #loose = [];
  #alias = new Map();
  #counted = null; // Uint32Array: how many of the first i candidates lie where figures are counted
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

  /** @param {import("./columns.js").Columns} columns */
  load(columns) {
    this.columns = columns;
    this.loaded = true;
    this.#madeKeys = this.#madeIndex = null;
    this.#count();
    this.changed({ counts: true });
  }

  /** Take what the server says of all figures; what is on its way there keeps what the reader said. */
  setFigures(figures) {
    const waiting = [...this.#figures.values()].filter((figure) => figure.pending);
    const known = new Set(figures.map((figure) => figure.id));
    for (const figure of [...this.#figures.values()])
      if (!figure.pending && !known.has(figure.id)) this.#forget(figure.id);
    const busy = new Set(waiting.map((figure) => figure.id));
    const busyKeys = new Set(waiting.map((figure) => figure.candidate).filter((key) => key !== null));
    for (const figure of figures) if (!busy.has(figure.id) && !busyKeys.has(figure.candidate)) this.#keep(figure);
    this.changed({ counts: true });
  }

  /** Take one figure; `replaces` is the id under which it was kept until now. */
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

  /** Forget a figure that the server does not have. */
  dropFigure(id) {
    this.#forget(this.#alias.get(id) ?? id);
    this.changed({ counts: true });
  }

  setRegions(regions) {
    this.regions = regions;
    this.#count();
    this.changed({ counts: true });
  }

  setMinScore(score) {
    this.minScore = score;
    this.changed({ counts: true });
  }

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

  /** @returns {Figure | undefined} */
  figure(spot) {
    const { n, key } = this.columns;
    return this.#figures.get(spot < n ? this.#figureOfKey.get(key[spot]) : this.#loose[spot - n]);
  }

  label(spot) {
    return this.figure(spot)?.label ?? "";
  }

  /** @returns {{x: number, y: number, score: number?}} level-0 px; score null where the run has no candidate */
  place(spot) {
    const { n, x, y, score } = this.columns;
    if (spot < n) return { x: x[spot], y: y[spot], score: score[spot] };
    const figure = this.figure(spot);
    return { x: figure.x, y: figure.y, score: null };
  }

  /** The spot of a figure, -1 for none. */
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

  /** Whether a place is where figures are counted: in a tumour region where there is one, in no exclusion. */
  counts(x, y) {
    const tumour = this.regions.filter((region) => region.kind === "tumour");
    if (this.regions.some(({ kind, polygon }) => kind === "exclusion" && inPolygon(polygon, x, y))) return false;
    return tumour.length === 0 || tumour.some(({ polygon }) => inPolygon(polygon, x, y));
  }

  /**
   * The counts at the threshold: by AI, and reviewed (candidates that nobody rejected, and figures called mitotic).
   * outline: count inside it alone.
   */
  numbers(outline = null) {
    const { x, y } = this.columns;
    const { visible } = this;
    const inside = (spot) => {
      const place = this.place(spot);
      return this.counts(place.x, place.y) && (!outline || inOutline(outline, place.x, place.y));
    };
    let ai = 0;
    if (outline)
      for (let i = 0; i < visible; i++) ai += Number(inOutline(outline, x[i], y[i]) && this.counts(x[i], y[i]));
    else ai = this.#counted ? this.#counted[visible] : visible;
    const numbers = { ai, reviewed: ai, mitotic: 0, non_mitotic: 0, unsure: 0, added: 0, unseen: ai };
    for (const spot of this.judged()) {
      if (!inside(spot)) continue;
      const label = this.label(spot);
      numbers[label]++;
      if (label === "mitotic" && this.figure(spot).added) numbers.added++;
      if (spot < visible) numbers.unseen--;
      numbers.reviewed += Number(label === "mitotic") - Number(spot < visible);
    }
    return numbers;
  }

  /** The spot nearest to a point among those that show, within a distance in level-0 px; -1 for none. */
  nearest(x, y, distance) {
    let best = -1;
    let least = distance;
    const { visible } = this;
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

  /** The stored candidate nearest to a point whatever its score, -1 for none. */
  nearestCandidate(x, y, distance) {
    return this.#index?.neighbors(x, y, 1, distance)[0] ?? -1;
  }

  /** Candidates from the threshold up in a box [x0, y0, x1, y1] of level-0 px. */
  within(box) {
    const { visible } = this;
    return this.#index?.search(...box, (index) => index < visible) ?? [];
  }

  get #index() {
    const { n, x, y } = this.columns;
    if (!n || this.#madeIndex) return this.#madeIndex;
    this.#madeIndex = new this.#Index(n, 16, Float32Array);
    for (let i = 0; i < n; i++) this.#madeIndex.add(x[i], y[i]);
    this.#madeIndex.finish();
    return this.#madeIndex;
  }

  get #indexOfKey() {
    if (this.#madeKeys) return this.#madeKeys;
    this.#madeKeys = new Map();
    this.columns.key.forEach((key, index) => this.#madeKeys.set(key, index));
    return this.#madeKeys;
  }

  #keep(figure) {
    this.#figures.set(figure.id, figure);
    if (this.#indexOfKey.has(figure.candidate)) this.#figureOfKey.set(figure.candidate, figure.id);
    else if (!this.#loose.includes(figure.id)) this.#loose.push(figure.id);
  }

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
    this.#counted = null;
    if (!this.regions.length) return;
    const { n, x, y } = this.columns;
    this.#counted = new Uint32Array(n + 1);
    for (let i = 0; i < n; i++) this.#counted[i + 1] = this.#counted[i] + Number(this.counts(x[i], y[i]));
  }
}
