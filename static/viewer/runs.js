// A second run over the first: its candidates as triangles, and what only one of the two has found.

import * as api from "./api.js";
import { countFrom, unpack } from "./columns.js";
import { around, make, maybeAt, sentenceOf } from "./dom.js";
import { whole } from "./words.js";

/** @import { Found } from "./api.js" */
/** @import { RunConfig } from "./config.js" */
/** @import { Scene } from "./scene.js" */
/** @import { Store } from "./store.js" */
/** @import { Say } from "./toast.js" */

const MOST = 200; // places that are listed
const OPEN = 50; // places up to which a list is shown unfolded

export class Runs {
  #config;
  #store;
  #scene;
  #on;
  #asked = 0;
  #result = maybeAt("compare"); // where there is another run

  /**
   * @param {RunConfig} config
   * @param {Store} store
   * @param {Scene} scene
   * @param {{changed: () => void, say: Say, go: (x: number, y: number) => void}} on
   */
  constructor(config, store, scene, on) {
    this.#config = config;
    this.#store = store;
    this.#scene = scene;
    this.#on = on;
    const choice = maybeAt("other-run", HTMLSelectElement);
    choice?.addEventListener("change", () => this.choose(choice.value));
    this.#result?.addEventListener("click", (event) => {
      const { x, y } = around(event, "button")?.dataset ?? {};
      if (x !== undefined) on.go(Number(x), Number(y));
    });
  }

  /** Lay a run over the first one; "" takes it away. @param {string} run */
  async choose(run) {
    this.#scene.other = null;
    this.#result?.replaceChildren();
    this.#on.changed();
    if (!run) return;
    try {
      const columns = unpack(await api.candidates(this.#config.slide, run));
      this.#scene.other = { run, columns, visible: 0, only: [], onlyOther: [] };
      await this.update();
    } catch (error) {
      this.#on.say(sentenceOf(error), "warn");
    }
  }

  /** Another threshold: count and compare again. */
  async update() {
    const { other } = this.#scene;
    if (!other) return;
    const asked = ++this.#asked;
    const { minScore } = this.#store;
    other.visible = countFrom(other.columns.score, minScore);
    this.#on.changed();
    const answer = await api.compare(this.#config.slide, this.#config.run, other.run, minScore);
    if (asked !== this.#asked) return;
    const { both, only_run: only, only_other: onlyOther } = answer;
    Object.assign(other, { only, onlyOther });
    this.#on.changed();
    const line = `${whole(both)} found by both (within 7.5 µm), at confidence ≥ ${minScore.toFixed(2)}.`;
    const lists = [places("Only this run (ring)", only), places("Only the other (triangle)", onlyOther)];
    this.#result?.replaceChildren(make("p", {}, line), ...lists);
  }
}

/** A list of places to go to. @param {string} title @param {Found[]} found */
function places(title, found) {
  const shown = found.length > MOST ? `, showing the best ${MOST}` : "";
  const list = make("ul", { className: "places" }, ...found.slice(0, MOST).map(place));
  const summary = make("summary", {}, `${title}: ${whole(found.length)}${shown}`);
  return make("details", { open: found.length > 0 && found.length <= OPEN }, summary, list);
}

/** @param {Found} found */
function place({ x, y, score }) {
  const said = score.toFixed(2);
  const button = make("button", { ariaLabel: `Show the candidate with confidence ${said}` }, said);
  button.dataset.x = String(x);
  button.dataset.y = String(y);
  return make("li", {}, button);
}
