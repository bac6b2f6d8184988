// The figure that is being judged: its crop, its context, its verdicts.

import * as api from "./api.js";
import { MPP, pixels } from "./config.js";
import { find, findAll } from "./dom.js";
import { magnification, mirrorShare } from "./geometry.js";
import { figured, labelled, moment, whole } from "./words.js";

/** @import { Config } from "./config.js" */
/** @import { Figure, Store } from "./store.js" */
/** @import { Label } from "./words.js" */

const SIZE = 128; // px of 0.25 um
const CONTEXT = 512;
const PATCH_UM = 32; // side of what the detector sees of a figure
const MOSTLY = 1 / 3; // of it, from which it is said that it is a mirror image

/** @param {Pick<Figure, "label" | "by" | "atypical">} figure */
const byline = ({ label, by, atypical }) => `${figured(label, atypical)}, by ${by ?? "somebody"}`;

export class Card {
  #config;
  #slide;
  #store;
  #element;
  #picture;
  #say;
  #history;
  #verdicts;
  #wide = false;
  #shown = "";
  /** @type {HTMLImageElement[]} kept, so that the browser keeps them */
  #ahead = [];
  #position = -1;
  #length = 0;

  /** @param {Config} config @param {Store} store @param {HTMLElement} element */
  constructor(config, store, element) {
    this.#config = config;
    this.#slide = config.slide;
    this.#store = store;
    this.#element = element;
    this.#picture = find(element, "img", HTMLImageElement);
    this.#say = find(element, "[data-say]");
    this.#history = find(element, "[data-history]");
    this.#verdicts = findAll(element, "[data-verdict]");
  }

  /** Show more of what is around it, or the figure alone. */
  toggleContext() {
    this.#wide = !this.#wide;
    this.#element.dataset.context = String(this.#wide);
    this.show();
  }

  /** @param {number} [position] in the list, from 0 @param {number} [length] of the list */
  show(position = this.#position, length = this.#length) {
    this.#position = position;
    this.#length = length;
    const spot = this.#store.selected;
    this.#element.dataset.empty = String(spot < 0);
    if (spot < 0) this.#empty();
    else this.#fill(spot);
  }

  /** Load the crops of what comes next, so that they are there when they are asked for. @param {number[]} spots */
  preload(spots) {
    this.#ahead = spots.map((spot) => {
      const picture = new Image();
      picture.src = this.#address(spot);
      return picture;
    });
  }

  #empty() {
    this.#say.textContent = this.#store.spots ? "J shows the first one." : "";
    this.#picture.removeAttribute("src");
    this.#history.textContent = "";
    this.#shown = "";
  }

  /** @param {number} spot */
  #fill(spot) {
    const { x, y, score } = this.#store.place(spot);
    const label = this.#store.label(spot);
    const address = this.#address(spot);
    if (this.#picture.src !== address) this.#picture.src = address;
    this.#picture.alt = `${this.#wide ? "Surroundings of the" : "The"} figure at ${x.toFixed(0)}, ${y.toFixed(0)} px`;
    const where = this.#position < 0 ? "not in this list" : `${whole(this.#position + 1)} of ${whole(this.#length)}`;
    const added = this.#store.figure(spot)?.screened ? "Added in screening" : "Added";
    const found = score === null ? added : `Confidence ${score.toFixed(2)}`;
    const figure = this.#store.figure(spot);
    const likely = this.#store.likelyAtypical(spot);
    const atypical = likely === null ? [] : [`atypical ${likely.toFixed(2)}`];
    const said = figured(label, figure?.atypical);
    this.#say.textContent = [found, ...atypical, said, where, ...this.#doubts(spot)].join(" · ");
    for (const button of this.#verdicts) {
      const own =
        button.dataset.verdict === label && (button.dataset.atypical === "true") === Boolean(figure?.atypical);
      button.setAttribute("aria-pressed", String(own));
    }
    const key = `${figure?.id} ${figure?.version} ${figure?.pending}`;
    if (key !== this.#shown) this.#tell(figure, (this.#shown = key));
  }

  /** What is to be known of a figure before it is judged. @param {number} spot */
  #doubts(spot) {
    const { x, y } = this.#store.place(spot);
    const mirrored = mirrorShare(x, y, this.#config, pixels(this.#config, PATCH_UM));
    const scanned = this.#config.mpp?.[0] ?? 0;
    return [
      this.#store.evaluable(spot) ? "" : "not where figures are counted",
      mirrored > MOSTLY ? `at the rim: ${Math.round(100 * mirrored)} % of what the detector saw is a mirror image` : "",
      scanned > 0.3 ? magnification(MPP, scanned) : "",
    ].filter(Boolean);
  }

  /** @param {number} spot */
  #address(spot) {
    const { x, y } = this.#store.place(spot);
    return api.cropUrl(this.#slide, x, y, this.#wide ? CONTEXT : SIZE);
  }

  /** @param {Figure | undefined} figure @param {string} key */
  async #tell(figure, key) {
    this.#history.textContent = !figure
      ? ""
      : figure.pending
        ? `Your verdict “${labelled(figure.label)}” is on its way.`
        : byline(figure);
    if (!figure || figure.pending || figure.version < 2) return;
    const verdicts = await api.history(this.#slide, figure.id).catch(() => []);
    if (key !== this.#shown) return;
    const lines = verdicts.map((one) => `${byline(one)}, ${moment(one.at)}`);
    this.#history.textContent = lines.reverse().join("\n");
  }
}
