// Count, density, hotspot and score, as reviewed and as by AI. What the page has counted shows at once; the server's word stands.

import * as api from "./api.js";
import { outlineOf } from "./geometry.js";

const PAUSE = 150; // ms that the hand must rest before the server is asked
const inWords = ({ interval: [low, high], unseen }) =>
  `hotspot 95 % interval ${low.toFixed(0)}–${high.toFixed(0)}${unseen === undefined ? "" : `, ${unseen} in it not looked at`}`;
const ruleInWords = ({
  value,
  to_next: more,
  rule: {
    id,
    version,
    cut_offs: [two, three],
    area_mm2: area,
    source,
  },
}) =>
  `Score ${value}${more === null ? "" : `, ${more} more would be ${value + 1}`} · ${id} version ${version}: 2 from ${two}, 3 from ${three} in ${Number(area.toPrecision(3))} mm² · ${source}`;
const whole = (value) => value.toLocaleString("en");

export class Numbers {
  #config;
  #store;
  #scene;
  #timer = null;
  #asking = false;
  #again = false;
  #answer = null;
  #counted = -1;
  #asked;

  /** @param {object} config of the page @param {import("./store.js").Store} store @param {import("./overlay.js").Scene} scene */
  constructor(config, store, scene) {
    [this.#config, this.#store, this.#scene] = [config, store, scene];
    this.at = Object.fromEntries(
      [...document.querySelectorAll("[data-number]")].map((cell) => [cell.dataset.number, cell]),
    );
    this.rests = document.getElementById("density");
    this.rule = document.getElementById("rule-said");
    this.judged = document.getElementById("judged");
    this.#asked = Object.fromEntries(
      ["area", "shape", "rule"].map((name) => [name, document.getElementById(`count-${name}`)]),
    );
    for (const choice of Object.values(this.#asked)) choice.addEventListener("change", () => this.update());
  }

  /** Show what the page counts, where that has changed. */
  recount() {
    if (!this.#store.loaded || this.#counted === this.#store.revision) return;
    this.#counted = this.#store.revision;
    this.#count(this.#store.numbers());
  }

  /** How the page counts, as the server is asked; what is not chosen is left to the server. */
  question() {
    const { area, shape, rule } = this.#asked;
    const asked = {
      run: this.#config.run,
      min_score: this.#store.minScore,
      area_mm2: area.value,
      shape: shape.value,
      rule: rule.value,
    };
    return new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ""));
  }

  /** Show what the page counts, and ask the server. */
  update() {
    this.recount();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.confirm().catch(() => {}), PAUSE);
  }

  /** Ask the server. One question at a time: counting many candidates takes it a while, and only the last answer is wanted. */
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

  #count({ ai, reviewed, mitotic, non_mitotic, unsure, added, unseen }) {
    this.#put("reviewed-count", reviewed);
    this.#put("ai-count", ai);
    this.at["reviewed-count"].dataset.count = reviewed; // for who reads it by program: no thousands marked
    this.at["reviewed-count"].classList.toggle("long", reviewed >= 1000);
    const said = mitotic + non_mitotic + unsure;
    this.judged.textContent = said
      ? `${whole(said)} judged: ${whole(mitotic)} mitotic, ${whole(non_mitotic)} not, ${whole(unsure)} unsure${added ? `, ${whole(added)} added` : ""} · ${whole(unseen)} not looked at`
      : "By AI alone: nobody has judged a figure yet.";
    const tissue = this.#answer?.tissue_mm2;
    for (const [name, count] of [
      ["reviewed", reviewed],
      ["ai", ai],
    ]) {
      this.#put(`${name}-density`, tissue ? (count / tissue).toFixed(1) : "–");
    }
  }

  #show(answer) {
    const { ai, tissue_mm2: tissue } = answer;
    const reviewed = answer.reviewed ?? ai;
    const mpp = this.#config.mpp;
    this.#scene.hotspots = mpp
      ? (reviewed.hotspots ?? []).map((spot) => ({
          ...outlineOf(spot.shape, spot.area_mm2, mpp, spot.x, spot.y),
          count: spot.count,
        }))
      : [];
    this.#store.changed();
    if (answer.judged) this.#count({ ai: ai.count, reviewed: reviewed.count, ...answer.judged });
    else if (this.#store.loaded) this.#count(this.#store.numbers());
    else
      this.#count({
        ai: ai.count,
        reviewed: ai.count,
        mitotic: 0,
        non_mitotic: 0,
        unsure: 0,
        added: 0,
        unseen: ai.count,
      });
    for (const [name, value] of [
      ["reviewed", reviewed],
      ["ai", ai],
    ]) {
      this.#put(`${name}-density`, value.count_per_mm2 === null ? "–" : value.count_per_mm2.toFixed(1));
      const hotspot = value.hotspots?.[0];
      this.#put(`${name}-hotspot`, hotspot ? hotspot.count : "–");
      this.#put(`${name}-score`, value.score?.value ?? "–");
    }
    const area = answer.area_mm2;
    document.getElementById("hotspot-area").textContent = area ? `${Number(area.toPrecision(3))} mm²` : "";
    this.rests.textContent = [
      ...(tissue ? [`per mm² of ${tissue.toFixed(2)} mm² tissue`] : []),
      answer.model.name,
      ...(answer.reason ? [answer.reason] : []),
      ...[reviewed.hotspots?.[0] ?? reviewed.score].filter(Boolean).map(inWords),
      ...(answer.stale ?? []),
    ].join(" · ");
    this.rule.textContent = reviewed.score ? ruleInWords(reviewed.score) : "";
  }

  #put(name, value) {
    this.at[name].textContent = typeof value === "number" ? whole(value) : value;
  }
}
