// The list of regions, and their way to the server and back. Every step can be taken back.

import * as api from "./api.js";
import { around, at, make, onClick, sentenceOf } from "./dom.js";
import { Tissue } from "./tissue.js";
import { RegionTool } from "./tools/region.js";

/** @import { Config } from "./config.js" */
/** @import { Point, RegionKind } from "./geometry.js" */
/** @import { Scene } from "./scene.js" */
/** @import { Stage } from "./stage.js" */
/** @import { Region, Store } from "./store.js" */
/** @import { Say } from "./toast.js" */
/** @import { Undo } from "./undo.js" */

/**
 * @typedef {object} Parts
 * @property {Config} config
 * @property {Stage} stage
 * @property {Store} store
 * @property {Scene} scene
 * @property {Undo} undo
 * @property {Say} say
 * @property {() => void} changed called when what is drawn has changed
 * @property {() => void} counted called when what is counted has changed
 */

export class RegionPanel {
  #parts;
  #list = at("regions");
  #glass = at("show-glass", HTMLInputElement);

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.say = parts.say;
    this.tool = new RegionTool(parts.stage, parts.store, parts.scene, this);
    onClick("draw-tumour", () => this.tool.activate("tumour"));
    onClick("draw-exclusion", () => this.tool.activate("exclusion"));
    onClick("draw-tissue", () => this.tool.activate("tissue"));
    onClick("draw-glass", () => this.tool.activate("glass"));
    at("show-glass").addEventListener("change", () => this.showGlass(this.#glass.checked));
    this.#list.addEventListener("click", (event) => {
      const button = around(event, "button");
      const region = parts.store.regions.find(({ id }) => id === button?.closest("li")?.dataset.region);
      if (!button || !region) return;
      if (button.dataset.do === "remove") this.removed(region);
      else this.tool.choose(region.id);
      button.blur();
    });
  }

  async load() {
    const { config, store } = this.#parts;
    const [regions, tissue] = await Promise.all([api.regions(config.slide), api.tissue(config.slide)]);
    store.setTissue(tissue && (await Tissue.read(tissue, config)));
    store.setRegions(regions);
    this.#glass.disabled = tissue === null;
    this.#fill();
  }

  /** Draw what is measured as glass over the slide. */
  showGlass(shown = !this.#glass.checked) {
    if (this.#glass.disabled) return this.say("It was not measured where this slide has tissue.", "warn");
    this.#glass.checked = this.#parts.scene.glass = shown;
    this.#parts.changed();
  }

  changed() {
    this.#mark();
    this.#parts.changed();
  }

  /** @param {RegionKind} kind @param {Point[]} polygon */
  drawn(kind, polygon) {
    return this.#try(async () => {
      const region = await this.#draw({ kind, polygon });
      this.#parts.scene.region = region.id;
      this.#parts.undo.push({ say: "the region that was drawn", back: () => this.#end(region) });
      this.say("The region is saved. Z takes it back.");
    });
  }

  /** @param {Region} region @param {Point[]} polygon */
  edited(region, polygon) {
    return this.#try(async () => {
      const { kind } = region;
      const now = await this.#draw({ kind, polygon, replaces: region.id });
      this.#parts.scene.region = now.id;
      const back = () => this.#again({ kind, polygon: region.polygon, replaces: now.id });
      this.#parts.undo.push({ say: "the change of a region", back });
      this.say("The change is saved. Z takes it back.");
    });
  }

  /** @param {Region} region */
  removed({ id, kind, polygon }) {
    return this.#try(async () => {
      await api.removeRegion(this.#parts.config.slide, id);
      this.#parts.undo.push({ say: "the removal of a region", back: () => this.#again({ kind, polygon }) });
      this.say("The region is removed. Z brings it back.");
    });
  }

  /** @param {{kind: RegionKind, polygon: Point[], replaces?: string}} region */
  #draw(region) {
    return api.drawRegion(this.#parts.config.slide, region);
  }

  /** @param {{kind: RegionKind, polygon: Point[], replaces?: string}} region */
  async #again(region) {
    await this.#draw(region);
    await this.#reload();
  }

  /** @param {Region} region */
  async #end(region) {
    await api.removeRegion(this.#parts.config.slide, region.id);
    await this.#reload();
  }

  /** @param {() => Promise<void>} step */
  async #try(step) {
    try {
      await step();
    } catch (error) {
      this.say(`${sentenceOf(error)} The region was not saved.`, "warn");
    }
    await this.#reload().catch((error) => this.say(error.message, "warn"));
  }

  async #reload() {
    await this.load();
    this.#parts.counted();
  }

  #fill() {
    const items = this.#parts.store.regions.map((region) => this.#item(region));
    this.#list.replaceChildren(...items);
    at("no-regions").hidden = items.length > 0;
    this.#mark();
  }

  /** @param {Region} region */
  #item({ id, kind, polygon, mm2 = null, by }) {
    const area = mm2 === null ? `${polygon.length} corners` : `${mm2.toFixed(2)} mm²`;
    const show = make("button", { className: "quiet grow" }, `${kind}, ${area}, by ${by ?? "somebody"}`);
    const remove = make("button", { className: "quiet", ariaLabel: `Remove the ${kind} region of ${area}` }, "Remove");
    remove.dataset.do = "remove";
    const item = make("li", {}, show, remove);
    item.dataset.region = id;
    return item;
  }

  #mark() {
    at("viewer").classList.toggle("drawing", this.tool.drawing);
    for (const item of this.#list.children) {
      const { region } = /** @type {HTMLElement} */ (item).dataset;
      item.toggleAttribute("aria-current", region === this.#parts.scene.region);
    }
  }
}
