// How the slide is shown: light, overlays, full screen, panel, help; each by a button and a key.

import { at, onClick } from "./dom.js";
import { keep, kept } from "./kept.js";

/** @import { Scene } from "./scene.js" */
/** @import { Stage } from "./stage.js" */
/** @import { Say } from "./toast.js" */

const ZOOM = 1.5;
const TURN = 15; // degrees

export class View {
  #stage;
  #scene;
  #changed;
  #say;
  #person;
  #brightness = at("brightness", HTMLInputElement);
  #contrast = at("contrast", HTMLInputElement);

  /**
   * @param {Stage} stage
   * @param {Scene} scene
   * @param {() => void} changed called when other things are drawn
   * @param {Say} say
   * @param {string} person for whom the light is kept
   */
  constructor(stage, scene, changed, say, person) {
    this.#person = person;
    this.#stage = stage;
    this.#scene = scene;
    this.#changed = changed;
    this.#say = say;
    onClick("tool-help", () => this.help());
    onClick("tool-left", () => this.turn(-1));
    onClick("tool-right", () => this.turn(1));
    onClick("tool-in", () => this.zoom(1));
    onClick("tool-out", () => this.zoom(-1));
    onClick("tool-home", () => stage.home());
    onClick("tool-back", () => stage.back());
    onClick("tool-full", () => this.fullScreen());
    onClick("tool-light", () => this.light());
    onClick("tool-link", () => this.copyLink());
    onClick("tool-hide", () => this.hide());
    onClick("tool-points", () => this.points());
    onClick("light-reset", () => {
      this.#brightness.value = this.#contrast.value = "1";
      this.#shine();
    });
    for (const slider of [this.#brightness, this.#contrast]) slider.addEventListener("input", () => this.#shine());
    [this.#brightness.value, this.#contrast.value] = kept(person, "light", ["1", "1"]);
    stage.opened.then(() => this.#shine());
  }

  /** @param {number} steps to the right */
  turn(steps) {
    this.#stage.rotateBy(TURN * steps);
  }

  /** @param {number} steps closer */
  zoom(steps) {
    this.#stage.zoomBy(ZOOM ** steps);
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else
      at("work")
        .requestFullscreen()
        .catch(() => this.#say("This browser does not allow full screen.", "warn"));
  }

  light() {
    const box = at("light-box");
    box.hidden = !box.hidden;
    at("tool-light").setAttribute("aria-expanded", String(!box.hidden));
  }

  hide() {
    this.#scene.hidden = !this.#scene.hidden;
    at("tool-hide").setAttribute("aria-pressed", String(this.#scene.hidden));
    this.#changed();
  }

  points() {
    this.#scene.points = !this.#scene.points;
    at("tool-points").setAttribute("aria-pressed", String(this.#scene.points));
    this.#changed();
  }

  panel() {
    at("work").classList.toggle("wide");
  }

  help() {
    at("help", HTMLDialogElement).showModal();
  }

  async copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      this.#say("The link to this place is copied.");
    } catch {
      this.#say("The address of this page is the link to this place; copy it from the address bar.", "warn");
    }
  }

  #shine() {
    const light = [this.#brightness.value, this.#contrast.value];
    this.#stage.setLight(Number(light[0]), Number(light[1]));
    keep(this.#person, "light", light);
    at("tool-light").classList.toggle(
      "on",
      light.some((value) => Number(value) !== 1),
    );
  }
}
