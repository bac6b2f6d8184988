// The candidates of one run and what is chosen among them. Knows no viewer and no page.

/** @typedef {{x: number, y: number, score: number}} Candidate  x, y: level-0 pixels of the slide */

export class Store {
  /** @type {Candidate[]} best first */
  candidates = [];
  total = 0;
  minScore;
  selected = -1;
  #observers = new Set();

  /** @param {number} minScore */
  constructor(minScore) {
    this.minScore = minScore;
  }

  /** @param {() => void} observer called after every change */
  observe(observer) {
    this.#observers.add(observer);
  }

  /** Add a page of candidates, which must go on downwards in score. */
  add(candidates, total) {
    const last = this.candidates.at(-1);
    if (last && candidates.length && candidates[0].score > last.score) {
      throw new Error("Candidates must be added from the highest score down.");
    }
    this.candidates.push(...candidates);
    this.total = total;
    this.#changed();
  }

  setMinScore(score) {
    this.minScore = score;
    if (this.selected >= this.visible) this.selected = -1;
    this.#changed();
  }

  /** How many candidates have at least the chosen score: a binary search, so the slider recounts at once. */
  get visible() {
    let low = 0;
    let high = this.candidates.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.candidates[middle].score >= this.minScore) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether the visible ones are all that the server has at this score. */
  get complete() {
    return this.candidates.length === this.total || this.visible < this.candidates.length;
  }

  select(index) {
    this.selected = index >= 0 && index < this.visible ? index : -1;
    this.#changed();
  }

  /** The next (+1) or previous (-1) visible candidate. */
  step(direction) {
    if (this.visible === 0) return;
    const from = this.selected < 0 && direction < 0 ? 0 : this.selected;
    this.select(Math.min(Math.max(from + direction, 0), this.visible - 1));
  }

  /** The visible candidate nearest to a point, within a distance; -1 for none. */
  nearest(x, y, distance) {
    let best = -1;
    let least = distance * distance;
    for (let i = 0; i < this.visible; i++) {
      const dx = this.candidates[i].x - x;
      const dy = this.candidates[i].y - y;
      if (dx * dx + dy * dy <= least) [best, least] = [i, dx * dx + dy * dy];
    }
    return best;
  }

  #changed() {
    for (const observer of this.#observers) observer();
  }
}
