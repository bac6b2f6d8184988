// The figure that is being judged: its crop, its context, what was said of it.

import * as api from "./api.js";

const SIZE = 128; // px of 0.25 um
const CONTEXT = 512;
const WORDS = { "": "not judged", mitotic: "mitotic figure", non_mitotic: "not a mitotic figure", unsure: "unsure" };

export class Card {
  #slide;
  #store;
  #wide = false;
  #shown = "";
  #element;
  #ahead = [];

  /** @param {string} slide @param {import("./store.js").Store} store @param {HTMLElement} element */
  constructor(slide, store, element) {
    [this.#slide, this.#store, this.#element] = [slide, store, element];
    this.picture = element.querySelector("img");
    this.say = element.querySelector("[data-say]");
    this.history = element.querySelector("[data-history]");
  }

  /** Show more of what is around it, or the figure alone. */
  toggleContext() {
    this.#wide = !this.#wide;
    this.#element.dataset.context = this.#wide;
    this.show();
  }

  /** @param {number} position in the list, from 0 @param {number} length of the list */
  show(position = this.position ?? -1, length = this.length ?? 0) {
    [this.position, this.length] = [position, length];
    const spot = this.#store.selected;
    const none = spot < 0;
    this.#element.dataset.empty = none;
    if (none) {
      this.say.textContent = this.#store.spots ? "J shows the first one." : "";
      this.picture.removeAttribute("src");
      this.history.textContent = "";
      this.#shown = "";
      return;
    }
    const { x, y, score } = this.#store.place(spot);
    const address = api.cropUrl(this.#slide, x, y, this.#wide ? CONTEXT : SIZE);
    const label = this.#store.label(spot);
    if (this.picture.src !== address) this.picture.src = address;
    this.picture.alt = `${this.#wide ? "Surroundings of the" : "The"} figure at ${x.toFixed(0)}, ${y.toFixed(0)} px`;
    const where =
      position < 0 ? "not in this list" : `${(position + 1).toLocaleString("en")} of ${length.toLocaleString("en")}`;
    this.say.textContent = `${score === null ? "Added" : `Score ${score.toFixed(2)}`} · ${WORDS[label]} · ${where}`;
    for (const button of this.#element.querySelectorAll("[data-verdict]")) {
      button.setAttribute("aria-pressed", String(button.dataset.verdict === label && label !== ""));
    }
    const figure = this.#store.figure(spot);
    const key = `${figure?.id} ${figure?.version} ${figure?.pending}`;
    if (key !== this.#shown) this.#tell(figure, (this.#shown = key));
  }

  /** Load the crops of what comes next, so that they are there when they are asked for. */
  preload(spots) {
    this.#ahead = Array.from(spots, (spot) => {
      const { x, y } = this.#store.place(spot);
      const picture = new Image();
      picture.src = api.cropUrl(this.#slide, x, y, this.#wide ? CONTEXT : SIZE);
      return picture;
    });
  }

  async #tell(figure, key) {
    if (!figure) return (this.history.textContent = "");
    if (figure.pending) return (this.history.textContent = `Your verdict “${WORDS[figure.label]}” is on its way.`);
    this.history.textContent = `${WORDS[figure.label]}, by ${figure.by ?? "somebody"}`;
    if (figure.version < 2) return;
    const verdicts = await api.history(this.#slide, figure.id).catch(() => []);
    if (key !== this.#shown) return;
    const lines = verdicts.map(
      ({ label, by, at }) => `${WORDS[label]}, by ${by ?? "somebody"}, ${new Date(at).toLocaleString()}`,
    );
    this.history.textContent = lines.reverse().join("\n");
  }
}
