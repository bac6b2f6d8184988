// The crops beside the slide: a grid as long as it must be, of which only the rows in sight are in the page.

import * as api from "./api.js";

const CELL = 104; // px, least width of a cell
const WORDS = { "": "not judged", mitotic: "mitotic figure", non_mitotic: "not a mitotic figure", unsure: "unsure" };

export class Gallery {
  #slide;
  #store;
  #box;
  #list;
  #spots = [];
  #first = -1;
  #last = -1;

  /**
   * @param {string} slide @param {import("./store.js").Store} store
   * @param {HTMLElement} box that scrolls, with an <ol> in it
   * @param {(spot: number) => void} choose
   */
  constructor(slide, store, box, choose) {
    [this.#slide, this.#store, this.#box, this.#list] = [slide, store, box, box.querySelector("ol")];
    box.addEventListener("scroll", () => this.#fill());
    new ResizeObserver(() => this.#fill(true)).observe(box);
    this.#list.addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (item) choose(Number(item.dataset.spot));
    });
  }

  /** @param {ArrayLike<number>} spots in the order in which they are shown */
  show(spots) {
    this.#spots = spots;
    this.#fill(true);
  }

  /** Bring the selected spot into sight; -1 where the list does not hold it. */
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
    for (const item of this.#list.children) this.#dress(item);
  }

  #grid() {
    const width = this.#list.clientWidth;
    const columns = Math.max(2, Math.floor(width / CELL));
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
    const kept = new Map([...this.#list.children].map((item) => [Number(item.dataset.spot), item]));
    const items = [];
    for (let i = first; i < last; i++) {
      const item = kept.get(this.#spots[i]) ?? this.#item(this.#spots[i]);
      item.style.transform = `translate(${(i % columns) * side}px, ${Math.floor(i / columns) * side}px)`;
      item.style.width = item.style.height = `${side}px`;
      item.setAttribute("aria-setsize", this.#spots.length);
      item.setAttribute("aria-posinset", i + 1);
      this.#dress(item);
      items.push(item);
    }
    this.#list.replaceChildren(...items);
  }

  #item(spot) {
    const { x, y, score } = this.#store.place(spot);
    const item = document.createElement("li");
    item.dataset.spot = spot;
    const button = document.createElement("button");
    button.tabIndex = -1; // J and K move; the list is one stop for Tab
    const picture = new Image();
    picture.alt = "";
    picture.decoding = "async";
    picture.src = api.cropUrl(this.#slide, x, y);
    const sign = document.createElement("span");
    sign.className = "sign";
    const words = document.createElement("span");
    words.className = "score";
    words.textContent = score === null ? "added" : score.toFixed(2);
    button.append(picture, sign, words);
    item.append(button);
    return item;
  }

  #dress(item) {
    const spot = Number(item.dataset.spot);
    const label = this.#store.label(spot);
    const words = item.querySelector(".score").textContent;
    item.dataset.label = label;
    item.firstElementChild.setAttribute("aria-label", `${words}, ${WORDS[label]}`);
    if (spot === this.#store.selected) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
  }
}
