// The list of regions, and their way to the server and back. Every step can be taken back.

import * as api from "./api.js";
import { polygonArea } from "./geometry.js";

export class RegionPanel {
  /** @type {import("./tools/region.js").RegionTool} */
  tool;
  #config;
  #store;
  #scene;
  #undo;
  #counted;

  /** @param {object} parts @param {() => void} parts.counted called when what is counted has changed */
  constructor({ config, store, scene, undo, say, changed, counted }) {
    [this.#config, this.#store, this.#scene, this.#undo, this.#counted] = [config, store, scene, undo, counted];
    this.say = say;
    this.list = document.getElementById("regions");
    this.changed = () => {
      this.#mark();
      changed();
    };
    for (const kind of ["tumour", "exclusion"]) {
      document.getElementById(`draw-${kind}`).addEventListener("click", (event) => {
        event.currentTarget.blur();
        this.tool.start(kind);
      });
    }
    this.list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      const region = this.#store.regions.find(({ id }) => id === button?.closest("li").dataset.region);
      if (!region) return;
      if (button.dataset.do === "remove") this.removed(region);
      else this.tool.choose(region.id);
      button.blur();
    });
  }

  async load() {
    this.#store.setRegions(await api.regions(this.#config.slide));
    this.#fill();
  }

  drawn(kind, polygon) {
    return this.#try(async () => {
      const region = await api.drawRegion(this.#config.slide, { kind, polygon });
      this.#scene.region = region.id;
      this.#undo.push({ say: "the region that was drawn", back: () => this.#end(region) });
      this.say("The region is saved. Z takes it back.");
    });
  }

  edited(region, polygon) {
    return this.#try(async () => {
      const { kind } = region;
      const now = await api.drawRegion(this.#config.slide, { kind, polygon, replaces: region.id });
      this.#scene.region = now.id;
      const back = async () => {
        await api.drawRegion(this.#config.slide, { kind, polygon: region.polygon, replaces: now.id });
        await this.#reload();
      };
      this.#undo.push({ say: "the change of a region", back });
      this.say("The change is saved. Z takes it back.");
    });
  }

  removed(region) {
    return this.#try(async () => {
      await api.removeRegion(this.#config.slide, region.id);
      const { kind, polygon } = region;
      const back = async () => {
        await api.drawRegion(this.#config.slide, { kind, polygon });
        await this.#reload();
      };
      this.#undo.push({ say: "the removal of a region", back });
      this.say("The region is removed. Z brings it back.");
    });
  }

  async #end(region) {
    await api.removeRegion(this.#config.slide, region.id);
    await this.#reload();
  }

  async #try(step) {
    try {
      await step();
    } catch (error) {
      this.say(`${error.message} The region was not saved.`, "warn");
    }
    await this.#reload().catch((error) => this.say(error.message, "warn"));
  }

  async #reload() {
    await this.load();
    this.#counted();
  }

  #fill() {
    const { mpp } = this.#config;
    const items = this.#store.regions.map((region) => {
      const area = mpp
        ? `${((polygonArea(region.polygon) * mpp[0] * mpp[1]) / 1e6).toFixed(2)} mm²`
        : `${region.polygon.length} corners`;
      const item = document.createElement("li");
      item.dataset.region = region.id;
      const show = Object.assign(document.createElement("button"), {
        className: "quiet grow",
        textContent: `${region.kind}, ${area}, by ${region.by ?? "somebody"}`,
      });
      const remove = Object.assign(document.createElement("button"), { className: "quiet", textContent: "Remove" });
      remove.dataset.do = "remove";
      remove.setAttribute("aria-label", `Remove the ${region.kind} region of ${area}`);
      item.append(show, remove);
      return item;
    });
    this.list.replaceChildren(...items);
    document.getElementById("no-regions").hidden = items.length > 0;
    this.#mark();
  }

  #mark() {
    document.getElementById("viewer").classList.toggle("drawing", this.tool.drawing);
    for (const item of this.list.children)
      item.toggleAttribute("aria-current", item.dataset.region === this.#scene.region);
  }
}
