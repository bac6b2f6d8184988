// The crops beside the slide: a grid as long as it must be, of which only the rows in sight are in the page.

import * as api from "./api.js";
import { around, at, find, make } from "./dom.js";
import { keep, kept } from "./kept.js";
import { labelled } from "./words.js";

/** @import { Store } from "./store.js" */

const CELL = 104; // px, least width of a cell

export class Gallery {
  #slide;
  #store;
  #box;
  #list;
  #columns = at("columns", HTMLSelectElement);
  /** @type {ArrayLike<number>} */
  #spots = [];
  #first = -1;
  #last = -1;

  /**
   * @param {string} slide
   * @param {Store} store
   * @param {HTMLElement} box that scrolls, with an <ol> in it
   * @param {(spot: number) => void} choose
   * @param {string} person for whom the number of columns is kept
   */
  constructor(slide, store, box, choose, person) {
    this.#columns.value = kept(person, "columns", "0");
    this.#columns.addEventListener("change", () => {
      this.#columns.blur();
      keep(person, "columns", this.#columns.value);
      this.#fill(true);
    });
    this.#slide = slide;
    this.#store = store;
    this.#box = box;
    this.#list = find(box, "ol");
    box.addEventListener("scroll", () => this.#fill());
    new ResizeObserver(() => this.#fill(true)).observe(box);
    this.#list.addEventListener("click", (event) => {
      const item = around(event, "li");
      if (item) choose(Number(item.dataset.spot));
    });
  }

  /** @param {ArrayLike<number>} spots in the order in which they are shown */
  show(spots) {
    this.#spots = spots;
    this.#fill(true);
  }

  /** Bring the selected spot into sight. @param {number} position in the list; -1: not in it */
  reveal(position) {
    if (position < 0) return;
    const { columns, side } = this.#grid();
    const top = Math.floor(position / columns) * side;
    if (top < this.#box.scrollTop) this.#box.scrollTop = top;
    else if (top + side > this.#box.scrollTop + this.#box.clientHeight)
      this.#box.scrollTop = top + side - this.#box.clientHeight;
    this.#fill();
  }

  /** Labels or selection have changed: say so on the cells that are there. */
  refresh() {
    for (const item of this.#items()) this.#dress(item);
  }

  #grid() {
    const width = this.#list.clientWidth;
    const columns = Number(this.#columns.value) || Math.max(2, Math.floor(width / CELL));
    return { columns, side: width / columns };
  }

  #fill(all = false) {
    const { columns, side } = this.#grid();
    if (!side) return;
    const rows = Math.ceil(this.#spots.length / columns);
    const first = Math.max(0, Math.floor(this.#box.scrollTop / side) - 1) * columns;
    const last = Math.min(
      this.#spots.length,
      Math.min(rows, Math.ceil((this.#box.scrollTop + this.#box.clientHeight) / side) + 2) * columns,
    );
    if (!all && first === this.#first && last === this.#last) return;
    [this.#first, this.#last] = [first, last];
    this.#list.style.height = `${rows * side}px`;
    const kept = new Map(this.#items().map((item) => [Number(item.dataset.spot), item]));
    const items = [];
    for (let i = first; i < last; i++) {
      const item = kept.get(this.#spots[i]) ?? this.#item(this.#spots[i]);
      item.style.transform = `translate(${(i % columns) * side}px, ${Math.floor(i / columns) * side}px)`;
      item.style.width = item.style.height = `${side}px`;
      item.setAttribute("aria-setsize", String(this.#spots.length));
      item.setAttribute("aria-posinset", String(i + 1));
      this.#dress(item);
      items.push(item);
    }
    this.#list.replaceChildren(...items);
  }

  #items() {
    return /** @type {HTMLElement[]} */ ([...this.#list.children]);
  }

  /** @param {number} spot */
  #item(spot) {
    const { x, y, score } = this.#store.place(spot);
    const picture = make("img", { alt: "", decoding: "async", src: api.cropUrl(this.#slide, x, y) });
    const words = make("span", { className: "score" }, score === null ? "added" : score.toFixed(2));
    const button = make("button", {}, picture, make("span", { className: "sign" }), words);
    button.tabIndex = -1; // J and K move; the list is one stop for Tab
    const item = make("li", {}, button);
    item.dataset.spot = String(spot);
    return item;
  }

  /** @param {HTMLElement} item */
  #dress(item) {
    const spot = Number(item.dataset.spot);
    const label = this.#store.label(spot);
    const words = find(item, ".score").textContent;
    item.dataset.label = label;
    item.dataset.counts = String(this.#store.evaluable(spot));
    find(item, "button").setAttribute("aria-label", `${words}, ${labelled(label)}`);
    if (spot === this.#store.selected) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
  }
}
