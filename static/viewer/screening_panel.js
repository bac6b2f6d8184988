// The screening tab: begin and go on, what is screened, and a small map of what has been seen.

import * as api from "./api.js";
import { pictureOf } from "./cells.js";
import { at, find, onClick, sentenceOf } from "./dom.js";
import { Screening } from "./screening.js";
import { some, whole } from "./words.js";

/** @import { Cells } from "./cells.js" */
/** @import { RunConfig } from "./config.js" */
/** @import { Box } from "./geometry.js" */
/** @import { Numbers } from "./numbers.js" */
/** @import { Scene } from "./scene.js" */
/** @import { Sensitivity } from "./screening.js" */
/** @import { Stage } from "./stage.js" */
/** @import { Say } from "./toast.js" */

/**
 * @typedef {object} Listener
 * @property {() => unknown} toggle
 * @property {() => unknown} next
 * @property {() => unknown} arrange called when other fields are chosen
 * @property {() => unknown} forget
 * @property {(x: number, y: number) => void} go called with a place on the map, level-0 px
 */

export class ScreeningPanel {
  #over = at("screening-over", HTMLSelectElement);
  #fields = at("screening-fields", HTMLSelectElement);
  #map = at("screening-map", HTMLCanvasElement);
  /** Seen cells that the map shows. */
  #drawn = "";

  /** @param {Listener} on */
  constructor(on) {
    onClick("screening-toggle", on.toggle);
    onClick("screening-next", on.next);
    onClick(
      "screening-forget",
      () => confirm("Forget what you have seen of this slide, and begin anew?") && on.forget(),
    );
    for (const choice of [this.#over, this.#fields]) {
      choice.addEventListener("change", () => {
        choice.blur();
        on.arrange();
      });
    }
    this.#map.addEventListener("click", ({ offsetX, offsetY }) => {
      const { width, height } = this.#map.getBoundingClientRect();
      on.go(offsetX / width, offsetY / height);
    });
  }

  /** @returns {"evaluable" | "hotspot"} */
  get over() {
    return this.#over.value === "hotspot" ? "hotspot" : "evaluable";
  }

  get ofRule() {
    return this.#fields.value === "rule";
  }

  /** @param {Screening} screening */
  show(screening) {
    const { active, cells, told, share, what, problem } = screening;
    find(at("screening-toggle"), "span").textContent = active ? "Stop" : cells ? "Go on" : "Begin";
    at("screening-toggle").setAttribute("aria-pressed", String(active));
    at("screening-next", HTMLButtonElement).disabled = !active;
    if (!cells || !told) return;
    const { field, of } = screening.where;
    const where = active && field > 0 ? ` Field ${whole(field)} of ${whole(of)}.` : "";
    const seen = `${percent(share)} of ${what} seen.${where}`;
    const say = problem ? `${seen} Not all of it is saved yet: ${problem}` : seen;
    if (at("screening-say").textContent !== say) at("screening-say").textContent = say;
    at("screening-chip").hidden = !active;
    at("screening-chip").textContent = say;
    at("screening-sensitivity").textContent = told.sensitivity ? inWords(told.sensitivity) : "";
    this.#draw(cells, seen);
  }

  /** @param {Cells} cells @param {string} say */
  #draw(cells, say) {
    if (this.#drawn === say) return;
    this.#drawn = say;
    const picture = pictureOf(cells);
    this.#map.hidden = at("screening-legend").hidden = false;
    Object.assign(this.#map, { width: cells.columns, height: cells.rows });
    this.#map.setAttribute("aria-label", `Map of the slide: ${say}`);
    this.#map.getContext("2d")?.drawImage(picture, 0, 0);
  }
}

/** A share: never 100 % before all of it, never 0 % after the first. @param {number} share */
export function percent(share) {
  const rounded = Math.round(100 * share);
  if (rounded === 100 && share < 1) return "more than 99 %";
  return rounded === 0 && share > 0 ? "less than 1 %" : `${rounded} %`;
}

/** @param {Sensitivity} sensitivity */
function inWords({ found, missed, open, share, interval, min_score }) {
  const at = `at confidence ${min_score.toFixed(2)}`;
  if (open)
    return `${some(open, "candidate")} there ${at} or more without a verdict; when all have one, the sensitivity is told.`;
  if (share === null || !interval) return "There is no mitotic figure in what has been seen so far.";
  const [low, high] = interval.map((value) => Math.round(100 * value));
  return (
    `Of ${some(found + missed, "mitotic figure")} there the detector found ${whole(found)} ${at}: ` +
    `sensitivity ${percent(share)} (95 % interval ${low} to ${high} %).`
  );
}

/** What no tool covers of the slide's element: right of them, or below them on a narrow screen. @returns {Box} screen px */
function clear() {
  const [stage, tools] = [at("viewer"), find(document, ".tools", HTMLElement)].map((one) =>
    one.getBoundingClientRect(),
  );
  const beside = tools.height > tools.width;
  const [left, top] = beside ? [tools.right - stage.left, 0] : [0, tools.bottom - stage.top];
  return [left + 4, top + 4, stage.width, stage.height];
}

/**
 * The screening of the slide page: mode, panel and server together.
 * @param {{config: RunConfig, stage: Stage, scene: Scene, numbers: Numbers, say: Say, changed: () => void}} page
 */
export function startScreening({ config, stage, scene, numbers, say, changed }) {
  const panel = new ScreeningPanel({
    toggle: () => screening.toggle(),
    next: () => screening.next(),
    arrange: () => screening.arrange(),
    forget: () => screening.forget(),
    go: (x, y) => stage.goTo(x * config.width, y * config.height),
  });
  const problem = (/** @type {unknown} */ error) => say(sentenceOf(error), "warn");
  at("tab-screening").addEventListener("click", () => screening.active || screening.load().catch(problem));
  const asked = () => {
    const all = numbers.question();
    return new URLSearchParams([...all].filter(([name]) => name === "run" || name === "min_score"));
  };
  /** @type {Screening} */
  const screening = new Screening({
    ...{ stage, mpp: config.mpp, scene, panel, say, changed, areaMm2: () => numbers.areaMm2, clear },
    server: {
      load: () => api.screening(config.slide, asked()),
      see: (runs, place) => api.see(config.slide, asked(), runs, place),
      forget: () => api.forgetScreening(config.slide),
    },
  });
  return screening;
}
