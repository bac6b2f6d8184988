// Count, density, hotspot and mitotic score, as reviewed and as by AI. What the page counts shows at once; the server's
// word stands.

import * as api from "./api.js";
import { at, findAll } from "./dom.js";
import { printed, whole } from "./words.js";

/** @import { Count, Hotspot, Score, Sure, Value } from "./api.js" */
/** @import { RunConfig } from "./config.js" */
/** @import { Shape } from "./geometry.js" */
/** @import { Scene } from "./scene.js" */
/** @import { Store, Tally } from "./store.js" */

const PAUSE = 150; // ms that the hand must rest before the server is asked
const NOBODY = { mitotic: 0, non_mitotic: 0, unsure: 0, added: 0 };

export class Numbers {
  #config;
  #store;
  #scene;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asking = false;
  #again = false;
  /** @type {Count | null} */
  #answer = null;
  #counted = -1;
  /** Called when the hotspot has moved. @type {() => void} */
  moved = () => {};
  /** The cells of the table. @type {Record<string, HTMLElement>} */
  #cells;
  #asked = {
    area_mm2: at("count-area", HTMLSelectElement),
    shape: at("count-shape", HTMLSelectElement),
    rule: at("count-rule", HTMLSelectElement),
  };

  /** @param {RunConfig} config @param {Store} store @param {Scene} scene */
  constructor(config, store, scene) {
    this.#config = config;
    this.#store = store;
    this.#scene = scene;
    this.#cells = Object.fromEntries(findAll(document, "[data-number]").map((cell) => [cell.dataset.number, cell]));
    for (const choice of Object.values(this.#asked)) choice.addEventListener("change", () => this.update());
  }

  /** Show what the page counts, where that has changed. */
  recount() {
    if (!this.#store.loaded || this.#counted === this.#store.revision) return;
    this.#counted = this.#store.revision;
    this.#count(this.#store.numbers());
  }

  /** Of the hotspot; 2 until the server has said. */
  get areaMm2() {
    return this.#answer?.area_mm2 ?? 2;
  }

  /** How the page counts, as the server is asked; what is not chosen is left to the server. */
  question() {
    const asked = new URLSearchParams({ run: this.#config.run, min_score: String(this.#store.minScore) });
    for (const [name, { value }] of Object.entries(this.#asked)) if (value !== "") asked.set(name, value);
    return asked;
  }

  /** Show what the page counts, and ask the server. */
  update() {
    this.recount();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.confirm().catch(() => {}), PAUSE);
  }

  /**
   * Ask the server. One question at a time: counting many takes it a while, and only the last answer is wanted.
   */
  async confirm() {
    this.#again = this.#asking;
    if (this.#asking) return;
    this.#asking = true;
    try {
      const { revision } = this.#store;
      const answer = await api.count(this.#config.slide, this.question());
      if (revision === this.#store.revision) this.#show((this.#answer = answer));
      else this.#again = true; // it counts what holds no more
    } finally {
      this.#asking = false;
      if (this.#again) this.update();
    }
  }

  /** Show a count of the page or of the server. @param {Tally} tally */
  #count(tally) {
    const { ai, reviewed } = tally;
    const begun = judgedOf(tally) > 0;
    const tissue = this.#answer?.tissue_mm2;
    const cell = this.#cells["reviewed-count"];
    this.#put("reviewed-count", begun ? reviewed : "–");
    this.#put("ai-count", ai);
    cell.dataset.count = String(reviewed); // the count that stands, for who reads it by program
    cell.classList.toggle("long", reviewed >= 1000);
    at("judged").textContent = tallyInWords(tally);
    this.#put("reviewed-density", tissue && begun ? (reviewed / tissue).toFixed(1) : "–");
    this.#put("ai-density", tissue ? (ai / tissue).toFixed(1) : "–");
  }

  /** @param {Count} answer */
  #show(answer) {
    const { ai, reviewed, review } = answer;
    const standing = reviewed ?? ai;
    this.#outline(standing.hotspots ?? []);
    if (answer.judged) this.#count({ ai: ai.count, reviewed: standing.count, ...answer.judged });
    else if (this.#store.loaded) this.#count(this.#store.numbers());
    else this.#count({ ...NOBODY, ai: ai.count, reviewed: standing.count, unseen: ai.count });
    this.#row("reviewed", reviewed);
    this.#row("ai", ai);
    const area = answer.area_mm2;
    at("hotspot-area").textContent = area ? `${Number(area.toPrecision(3))} mm²` : "";
    at("reviewed-name").textContent = review.state === "partly reviewed" ? "Partly reviewed" : "Reviewed";
    at("review-state").textContent = reviewInWords(review, Boolean(standing.hotspots?.length));
    at("review-state").dataset.state = review.state;
    at("density").textContent = provenance(answer, standing);
    at("rule-said").textContent = standing.score ? ruleInWords(standing.score) : "";
  }

  /** @param {"reviewed" | "ai"} name @param {Value | null} value null: there is none */
  #row(name, value) {
    const { count_per_mm2: density = null, hotspots = [], score = null } = value ?? {};
    this.#put(`${name}-density`, density === null ? "–" : density.toFixed(1));
    this.#put(`${name}-hotspot`, hotspots[0]?.count ?? "–");
    this.#put(`${name}-score`, score?.value ?? "–");
  }

  /** @param {Hotspot[]} hotspots */
  #outline(hotspots) {
    const before = JSON.stringify(this.#scene.hotspots);
    this.#scene.hotspots = this.#outlines(hotspots);
    this.#store.changed();
    if (JSON.stringify(this.#scene.hotspots) !== before) this.moved();
  }

  /** @param {Hotspot[]} hotspots */
  #outlines(hotspots) {
    const { mpp } = this.#config;
    if (!mpp) return [];
    return hotspots.flatMap(({ fields, ...hotspot }, i) =>
      (fields?.length ? fields : [hotspot]).flatMap((one, field) => {
        if (!one.reach_mm) return []; // all that is evaluable is counted
        const [side, sideY] = mpp.map((um) => (2000 * (one.reach_mm ?? 0)) / um);
        const name = fields?.length ? `field ${field + 1}` : `hotspot ${i + 1}`;
        /** @type {Shape} */
        const shape = hotspot.shape === "square" ? "square" : "circle";
        return [{ x: one.x, y: one.y, shape, side, sideY, say: `${name}: ${one.count}`, first: i === 0 }];
      }),
    );
  }

  /** @param {string} name @param {number | string} value */
  #put(name, value) {
    this.#cells[name].textContent = typeof value === "number" ? whole(value) : value;
  }
}

/** How many figures people have judged. @param {Tally} tally */
const judgedOf = ({ mitotic, non_mitotic, unsure }) => mitotic + non_mitotic + unsure;

/**
 * How far the hotspot is reviewed, and whether more verdicts can change the score.
 * @param {Count["review"]} review
 * @param {boolean} hotspot whether there is one
 */
export function reviewInWords({ state, judged, of, left }, hotspot) {
  const said = state[0].toUpperCase() + state.slice(1);
  const where = hotspot ? " in the hotspot" : "";
  const words =
    judged === of ? `${said}: all ${whole(of)}${where}` : `${said}: ${whole(judged)} of ${whole(of)}${where}`;
  if (left === null) return words;
  return left
    ? `${words} · ${whole(left)} left until the score cannot change`
    : `${words} · the score cannot change any more`;
}

/** What people have judged. @param {Tally} tally */
export function tallyInWords(tally) {
  const { mitotic, non_mitotic, unsure, added, unseen, atypical = null } = tally;
  const judged = judgedOf(tally);
  if (!judged) return `${tally.ai ? "By AI alone: nobody" : "Nobody"} has judged a figure yet.`;
  const kinds = atypical === null ? "" : ` (${whole(atypical)} atypical)`;
  const parts = [`${whole(mitotic)} mitotic${kinds}`, `${whole(non_mitotic)} not`, `${whole(unsure)} unsure`];
  if (added) parts.push(`${whole(added)} added`);
  return `${whole(judged)} judged: ${parts.join(", ")} · ${whole(unseen)} open`;
}

/** What a count rests on. @param {Count} answer @param {Value} value */
function provenance({ tissue_mm2: tissue, model, reason, stale }, { hotspots, score }) {
  const sure = hotspots?.[0] ?? score;
  const parts = [
    tissue && `${tissue.toFixed(2)} mm² evaluable`,
    reason || (hotspots?.[0] && heldInWords(hotspots[0])),
    score?.small_sample && "small sample",
    sure && intervalInWords(sure),
    model.name,
    ...(stale ?? []),
  ];
  return printed(parts.filter(Boolean).join(" · "));
}

/** What the hotspot holds of the area that was asked for, where it is less. @param {Hotspot} hotspot */
function heldInWords({ evaluable_mm2: held, area_mm2: asked }) {
  if (held === undefined || held === null || held >= 0.98 * asked) return "";
  return `hotspot holds ${held.toPrecision(2)} of ${Number(asked.toPrecision(3))} mm² evaluable`;
}

/** @param {Sure} of */
const intervalInWords = ({ interval: [low, high] }) => `hotspot 95 % interval ${low.toFixed(0)}–${high.toFixed(0)}`;

/** @param {Score} score */
function ruleInWords({ value, to_next: more, rule, small_sample: small }) {
  const [two, three] = rule.cut_offs;
  const next = more === null ? "" : `, ${more} more would be ${value + 1}`;
  const cuts = `2 from ${two}, 3 from ${three} in ${Number(rule.area_mm2.toPrecision(3))} mm²`;
  return `Mitotic score ${value}${small ? " (small sample)" : ""}${next} · ${rule.id} version ${rule.version}: ${cuts} · ${rule.source}`;
}
