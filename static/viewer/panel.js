// The panel beside the slide: count, threshold, list of candidates with their crops.

import * as api from "./api.js";

const PAGE = 60; // crops added to the list at a time

export class Panel {
  #config;
  #store;
  #tissueMm2 = null;
  #shown = 0;
  #shownFor = -1;
  #go;

  /**
   * @param {object} config of the page
   * @param {import("./store.js").Store} store
   * @param {(index: number) => void} go move the viewer to a candidate
   */
  constructor(config, store, go) {
    this.#config = config;
    this.#store = store;
    this.#go = go;
    this.count = document.getElementById("count");
    this.density = document.getElementById("density");
    this.showing = document.getElementById("showing");
    this.list = document.getElementById("candidates");
    this.slider = document.getElementById("score");
    this.value = document.getElementById("score-value");
    this.slider.min = config.floor;
    this.slider.addEventListener("input", () => store.setMinScore(Number(this.slider.value)));
    this.slider.addEventListener("change", () => this.confirm());
    this.list.addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (item) this.#go(Number(item.dataset.index));
    });
    this.list.parentElement.addEventListener("scroll", () => this.#fill());
    store.observe(() => this.update());
  }

  /** Counts come from the server: what the page has counted is confirmed, or corrected, by it. */
  async confirm() {
    const score = this.#store.minScore;
    const answer = await api.count(this.#config.slide, this.#config.run, score);
    this.#tissueMm2 = answer.tissue_mm2;
    this.reason = answer.reason;
    if (score === this.#store.minScore) this.#say(answer.count);
  }

  update() {
    const store = this.#store;
    this.slider.disabled = false;
    this.value.textContent = store.minScore.toFixed(2);
    if (store.complete) this.#say(store.visible);
    const loaded = store.candidates.length;
    this.showing.textContent = loaded < store.total
      ? `Showing ${loaded.toLocaleString("en")} of ${store.total.toLocaleString("en")} candidates`
      : `${store.total.toLocaleString("en")} candidates stored, from score ${this.#config.floor}`;
    this.#fill();
    this.#mark();
  }

  #say(count) {
    this.count.textContent = count.toLocaleString("en");
    this.count.dataset.count = count;
    if (this.#tissueMm2) {
      const density = (count / this.#tissueMm2).toFixed(1);
      this.density.textContent = `${density} per mm² of ${this.#tissueMm2.toFixed(2)} mm² tissue`;
    } else {
      this.density.textContent = this.reason ?? "\u00a0";
    }
  }

  /** Keep the list as long as what is visible, and add crops only as far as somebody scrolls. */
  #fill() {
    const { visible, candidates } = this.#store;
    if (visible < this.#shown) {
      while (this.list.children.length > visible) this.list.lastElementChild.remove();
      this.#shown = visible;
    }
    const box = this.list.parentElement;
    const near = () => box.scrollHeight - box.scrollTop - box.clientHeight < 600;
    while (this.#shown < visible && (this.#shown <= this.#store.selected || near())) {
      const end = Math.min(this.#shown + PAGE, visible);
      for (let i = this.#shown; i < end; i++) this.list.append(this.#item(i, candidates[i]));
      this.#shown = end;
    }
  }

  #item(index, { x, y, score }) {
    const item = document.createElement("li");
    item.dataset.index = index;
    const button = document.createElement("button");
    button.setAttribute("aria-label", `Candidate ${index + 1}, score ${score.toFixed(2)}`);
    const picture = new Image();
    picture.loading = "lazy";
    picture.alt = "";
    picture.src = api.cropUrl(this.#config.slide, x, y, 96);
    const label = document.createElement("span");
    label.className = "score";
    label.textContent = score.toFixed(2);
    button.append(picture, label);
    item.append(button);
    return item;
  }

  #mark() {
    const { selected } = this.#store;
    if (selected === this.#shownFor) return;
    this.list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const item = this.list.children[selected];
    item?.setAttribute("aria-current", "true");
    item?.scrollIntoView({ block: "nearest" });
    this.#shownFor = selected;
  }
}
