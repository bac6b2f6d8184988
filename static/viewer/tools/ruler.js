// A ruler: a line through places that are clicked, its length and, from three on, the area that it encloses.

import { onClick } from "../dom.js";
import { measured } from "../geometry.js";

/** @import { Point } from "../geometry.js" */
/** @import { Scene } from "../scene.js" */
/** @import { Stage } from "../stage.js" */
/** @import { Say } from "../toast.js" */
/** @import { Position, Tool } from "./tool.js" */

/** @implements {Tool} */
export class RulerTool {
  #stage;
  #scene;
  #changed;
  #say;
  #active = false;

  /** @param {{stage: Stage, scene: Scene, changed: () => void, say: Say}} page */
  constructor({ stage, scene, changed, say }) {
    this.#stage = stage;
    this.#scene = scene;
    this.#changed = changed;
    this.#say = say;
    onClick("tool-ruler", () => this.toggle());
  }

  /** Begin a new line, or put the ruler away. */
  toggle() {
    if (!this.deactivate()) this.activate();
  }

  activate() {
    if (!this.#stage.mpp) return this.#say("The µm/px of this slide is not known, so nothing can be measured.", "warn");
    this.#show(true, []);
    this.#say("Click from place to place; Backspace takes the last back, Esc puts the ruler away.");
  }

  deactivate() {
    const active = this.#active;
    if (active) this.#show(false, []);
    return active;
  }

  /** Measure to the middle of the view, for who has no pointer. */
  toTheMiddle() {
    return this.#to(this.#stage.centre);
  }

  /** Take the last place back. */
  backspace() {
    if (!this.#active) return false;
    this.#show(true, this.#points.slice(0, -1));
    return true;
  }

  /** @param {Position} position */
  click(position) {
    return this.#to(this.#stage.onSlide(position));
  }

  doubleClick() {
    return this.#active; // the second click has measured to the same place: no zoom
  }

  get #points() {
    return this.#scene.ruler?.points ?? [];
  }

  /** @param {Point} place level-0 px */
  #to(place) {
    if (!this.#active) return false;
    this.#show(true, [...this.#points, place]);
    return true;
  }

  /** @param {boolean} active @param {Point[]} points */
  #show(active, points) {
    const { mpp } = this.#stage;
    this.#active = active;
    this.#scene.ruler = active && mpp ? { points, say: measured(points, mpp) } : null;
    document.getElementById("tool-ruler")?.setAttribute("aria-pressed", String(active));
    if (active && points.length > 1) this.#say(this.#scene.ruler?.say ?? "");
    this.#changed();
  }
}
