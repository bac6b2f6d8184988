// One line of the list of uploads: how far it is, what is wrong with it, what can be done.

import { at, make } from "../viewer/dom.js";
import { duration } from "../viewer/duration.js";

const RATE_OVER = 10000; // ms over which the speed is averaged
const FIRST = 500; // ms before a speed is said
const SHOWN = 8000; // ms for which a line stays when its upload has ended

export class Row {
  #bar = make("progress", { max: 1, value: 0 });
  #actions = make("span", { className: "inline" });
  #text = make("span", { className: "say" });
  #element;
  #name;
  /** @type {{at: number, sent: number}[]} */
  #samples = [];

  /** @param {string} name @param {string} [id] of the element */
  constructor(name, id = "") {
    this.#name = name;
    this.#bar.setAttribute("aria-label", `Upload of ${name}`);
    this.#element = make("li", id ? { id } : {}, make("strong", {}, name), this.#bar, this.#actions, this.#text);
    at("uploads").append(this.#element);
  }

  /** It goes on: the speed is measured anew. */
  began() {
    this.#samples = [];
    this.#element.classList.remove("failed");
  }

  /** What can be done now. @param {Record<string, () => unknown>} actions */
  buttons(actions) {
    const buttons = Object.entries(actions).map(([text, action]) => {
      const button = make("button", { type: "button", className: "quiet" }, text);
      button.setAttribute("aria-label", `${text}: ${this.#name}`);
      button.addEventListener("click", action);
      return button;
    });
    this.#actions.replaceChildren(...buttons);
  }

  /** @param {number} sent bytes @param {number} total */
  progress(sent, total, verb = "") {
    const now = performance.now();
    this.#samples = [...this.#samples.filter((sample) => now - sample.at < RATE_OVER), { at: now, sent }];
    this.#bar.value = sent / total;
    const first = this.#samples[0];
    const past = now - first.at;
    const rate = past > FIRST ? (sent - first.sent) / (past / 1000) : 0;
    const left = rate > 0 ? `, ${bytes(rate)}/s, about ${duration((total - sent) / rate)} left` : "";
    this.say(`${verb} ${bytes(sent)} of ${bytes(total)}${left}`.trim());
  }

  /** @param {string} text */
  say(text) {
    this.#text.textContent = text;
  }

  /** @param {string} text */
  done(text) {
    this.#bar.value = 1;
    this.buttons({});
    this.#end(text);
    setTimeout(() => this.remove(), SHOWN);
  }

  /** @param {string} text */
  fail(text) {
    this.#element.classList.add("failed");
    this.#end(text);
  }

  /** Words alone: there is nothing under way. */
  plain() {
    this.#bar.remove();
  }

  remove() {
    this.#element.remove();
  }

  /** Say it here and to who does not see the list. @param {string} text */
  #end(text) {
    this.say(text);
    at("upload-said").textContent = `${this.#name}: ${text}`;
  }
}

/** A size as people say it: 16.8 MB. @param {number} count */
export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB"];
  const step = Math.min(Math.floor(Math.log10(Math.max(count, 1)) / 3), units.length - 1);
  return `${(count / 1000 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}
