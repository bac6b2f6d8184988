// The review tab: the figure that is judged, the list of crops, how it is sorted, and whether verdicts are saved.

import { Card } from "./card.js";
import { at, findAll, onClick } from "./dom.js";
import { Gallery } from "./gallery.js";
import { some, whole } from "./words.js";

/** @import { Config } from "./config.js" */
/** @import { Filter, Order } from "./order.js" */
/** @import { Store } from "./store.js" */
/** @import { QueueState } from "./verdicts.js" */
/** @import { Verdict } from "./words.js" */

/**
 * @typedef {object} Listener
 * @property {(spot: number) => void} choose
 * @property {(label: Verdict, atypical: boolean) => void} judge
 * @property {() => void} arrange called when another order or filter is chosen
 * @property {() => void} startHotspot called when the figures of the hotspot are to be judged
 */

export class ReviewPanel {
  #order = at("order", HTMLSelectElement);
  #filter = at("filter", HTMLSelectElement);
  #floor;
  #store;
  #card;
  #gallery;
  #startHotspot;

  /** @param {Config} config @param {Store} store @param {Listener} on */
  constructor(config, store, on) {
    const { slide, floor } = config;
    this.#floor = floor;
    this.#store = store;
    this.#card = new Card(config, store, at("card"));
    this.#gallery = new Gallery(slide, store, at("gallery"), on.choose, config.person);
    for (const choice of [this.#order, this.#filter]) {
      choice.addEventListener("change", () => {
        choice.blur();
        on.arrange();
      });
    }
    for (const button of findAll(document, "[data-verdict]")) {
      button.addEventListener("click", () => {
        button.blur(); // the keys belong to the slide again: Space would judge the next figure
        on.judge(/** @type {Verdict} */ (button.dataset.verdict), button.dataset.atypical === "true");
      });
    }
    for (const link of findAll(document, "[data-go=all]")) {
      link.addEventListener("click", () => {
        this.#arrange("score", "counted");
        on.arrange();
        at("gallery").focus();
      });
    }
    onClick("review-hotspot", () => this.startHotspot());
    this.#startHotspot = on.startHotspot;
  }

  /** List the figures of the hotspot, and begin with the first that nobody has judged. */
  startHotspot() {
    this.#arrange("score", "hotspot");
    this.#startHotspot();
  }

  /** @param {Order} order @param {Filter} filter */
  #arrange(order, filter) {
    this.#order.value = order;
    this.#filter.value = filter;
  }

  get order() {
    return /** @type {Order} */ (this.#order.value);
  }

  get filter() {
    return /** @type {Filter} */ (this.#filter.value);
  }

  /** Show another list. @param {ArrayLike<number>} spots */
  list(spots) {
    this.#gallery.show(spots);
    const [shown, all] = [whole(spots.length), whole(this.#store.total)];
    at("showing").textContent = `Showing ${shown} of ${all} figures, stored from confidence ${this.#floor}`;
  }

  /**
   * Show what is chosen and what it is called.
   * @param {number} position in the list, -1: not in it
   * @param {number} length
   */
  show(position, length) {
    this.#gallery.refresh();
    this.#card.show(position, length);
  }

  /** Bring one of the list into sight. @param {number} position */
  reveal(position) {
    this.#gallery.reveal(position);
  }

  /** Load the crops of what comes next. @param {number[]} spots */
  preload(spots) {
    this.#card.preload(spots);
  }

  toggleContext() {
    this.#card.toggleContext();
  }

  /** @param {QueueState} state */
  saved(state) {
    const line = at("saved");
    line.dataset.state = state.error ? "away" : state.waiting ? "sending" : "saved";
    line.dataset.waiting = String(state.waiting);
    line.textContent = inWords(state);
  }
}

/** Whether verdicts are saved, and why not. @param {QueueState} state */
export function inWords({ waiting, stored, error }) {
  const many = some(waiting, "verdict");
  if (!error) return waiting ? `Saving ${many} …` : "All verdicts are saved.";
  const one = waiting === 1;
  const wait = `${many} ${one ? "waits" : "wait"} in this ${stored ? "browser" : "tab, which must stay open,"}`;
  return error.status === 401 || error.status === 403
    ? `You are signed out. ${wait}: sign in again in another tab, then they are sent.`
    : `The server does not answer. ${wait} and ${one ? "is" : "are"} sent as soon as it does; go on reading.`;
}
