// A second run over the first: its candidates as triangles, and what only one of the two has found.

import * as api from "./api.js";
import { countFrom, unpack } from "./columns.js";

export class Runs {
  #config;
  #store;
  #scene;
  #on;
  #asked = 0;

  /** @param {{changed: () => void, say: (words: string, kind?: string) => void, go: (x: number, y: number) => void}} on */
  constructor(config, store, scene, on) {
    [this.#config, this.#store, this.#scene, this.#on] = [config, store, scene, on];
    this.choice = document.getElementById("other-run");
    this.result = document.getElementById("compare");
    this.choice?.addEventListener("change", () => this.choose(this.choice.value));
    this.result?.addEventListener("click", (event) => {
      const { x, y } = event.target.closest("button")?.dataset ?? {};
      if (x !== undefined) on.go(Number(x), Number(y));
    });
  }

  /** Lay a run over the first one; "" takes it away. */
  async choose(run) {
    this.#scene.other = null;
    this.result.replaceChildren();
    this.#on.changed();
    if (!run) return;
    try {
      const columns = unpack(await api.candidates(this.#config.slide, run));
      this.#scene.other = { run, columns, visible: 0, only: [], onlyOther: [] };
      await this.update();
    } catch (error) {
      this.#on.say(error.message, "warn");
    }
  }

  /** Another threshold: count and compare again. */
  async update() {
    const { other } = this.#scene;
    if (!other) return;
    const asked = ++this.#asked;
    other.visible = countFrom(other.columns.score, this.#store.minScore);
    this.#on.changed();
    const {
      both,
      only_run: only,
      only_other: onlyOther,
    } = await api.compare(this.#config.slide, this.#config.run, other.run, this.#store.minScore);
    if (asked !== this.#asked) return;
    Object.assign(other, { only, onlyOther });
    this.#on.changed();
    const line = document.createElement("p");
    line.textContent = `${both.toLocaleString("en")} found by both (within 7.5 µm), at score ≥ ${this.#store.minScore.toFixed(2)}.`;
    this.result.replaceChildren(
      line,
      this.#places("Only this run (ring)", only),
      this.#places("Only the other (triangle)", onlyOther),
    );
  }

  #places(title, places) {
    const part = document.createElement("details");
    part.open = places.length > 0 && places.length <= 50;
    const most = 200;
    const shown = places.length > most ? `, showing the best ${most}` : "";
    part.append(
      Object.assign(document.createElement("summary"), {
        textContent: `${title}: ${places.length.toLocaleString("en")}${shown}`,
      }),
    );
    const list = document.createElement("ul");
    list.className = "places";
    for (const { x, y, score } of places.slice(0, most)) {
      const button = Object.assign(document.createElement("button"), { textContent: score.toFixed(2) });
      button.dataset.x = x;
      button.dataset.y = y;
      button.setAttribute("aria-label", `Show the candidate with score ${score.toFixed(2)}`);
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
    }
    part.append(list);
    return part;
  }
}
