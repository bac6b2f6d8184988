// Looking at the hotspots, one after the other.

import { at, findAll, onClick } from "../dom.js";

/** @import { Scene } from "../scene.js" */
/** @import { Stage } from "../stage.js" */
/** @import { Say } from "../toast.js" */
/** @import { Tool } from "./tool.js" */

const ROOM = 1.2; // of the view around a hotspot

/** @implements {Tool} */
export class HotspotTool {
  #stage;
  #scene;
  #say;
  #shown = -1;

  /** @param {Stage} stage @param {Scene} scene @param {Say} say */
  constructor(stage, scene, say) {
    this.#stage = stage;
    this.#scene = scene;
    this.#say = say;
    onClick("tool-hotspot", () => this.activate());
    for (const link of findAll(document, "[data-go=hotspot]")) link.addEventListener("click", () => this.activate());
  }

  /** Show the next one. */
  activate() {
    const { hotspots } = this.#scene;
    if (!hotspots.length)
      return this.#say(
        "No hotspot to show: nothing is counted, all of a small area is, or the area is not known.",
        "warn",
      );
    this.#shown = (this.#shown + 1) % hotspots.length;
    const { x, y, side } = hotspots[this.#shown];
    const { clientWidth, clientHeight } = at("viewer");
    this.#stage.scale = (ROOM * side * (this.#stage.mpp?.[0] ?? 1)) / Math.min(clientWidth, clientHeight);
    this.#stage.goTo(x, y);
  }
}
