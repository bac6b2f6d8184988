// What blinded readers disagree on: a third person settles it, or they do together, by the keys of the slide page.

import { call } from "../viewer/api.js";
import { around, at, find, findAll, sentenceOf } from "../viewer/dom.js";
import { labelled } from "../viewer/words.js";

/** @import { Verdict } from "../viewer/words.js" */

const LABELS = /** @type {Record<string, Verdict>} */ ({ m: "mitotic", n: "non_mitotic", u: "unsure" });
const list = document.getElementById("disputes");
const figures = list ? findAll(list, ".sample") : [];
const mayJudge = Boolean(list?.querySelector("[data-label]"));
let here = 0;
let busy = false;

/** @param {number} number */
function go(number) {
  here = Math.min(Math.max(number, 0), figures.length - 1);
  for (const [index, one] of figures.entries()) one.classList.toggle("current", index === here);
  figures[here]?.scrollIntoView({ block: "nearest" });
}

/** @param {HTMLElement} figure @param {Verdict} label */
async function settle(figure, label) {
  if (busy) return;
  busy = true;
  const problem = at("problem");
  const { slide, x, y, expected } = figure.dataset;
  const together = figure.querySelector("[data-together]:checked") !== null;
  try {
    const body = { label, x: Number(x), y: Number(y), expected: Number(expected), together };
    const answer = await call(`/api/v1/slides/${slide}/figures/`, { method: "POST", body });
    figure.dataset.expected = String(answer.version);
    figure.dataset.verdict = label;
    const said = find(figure, "[data-said]");
    said.textContent = labelled(label);
    said.className = `tag ${label === "mitotic" ? "good" : "bad"}`;
    said.hidden = false;
    problem.hidden = true;
    const next = figures.findIndex((one, index) => index > here && !one.dataset.verdict);
    go(next < 0 ? Math.max(firstLeft(), here) : next);
    if (firstLeft() < 0) location.reload(); // the next page of them, or none
  } catch (error) {
    problem.textContent = sentenceOf(error);
    problem.hidden = false;
    problem.scrollIntoView({ block: "nearest" });
  }
  busy = false;
}

const firstLeft = () => figures.findIndex((one) => !one.dataset.verdict);

document.addEventListener("click", (event) => {
  const button = around(event, "button[data-label]", HTMLButtonElement);
  const figure = button?.closest(".sample");
  if (!button || !(figure instanceof HTMLElement)) return;
  go(figures.indexOf(figure));
  settle(figure, /** @type {Verdict} */ (button.dataset.label));
});

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  const typing = target instanceof HTMLInputElement && target.type !== "checkbox";
  if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const [label, figure] = [LABELS[key.toLowerCase()], figures[here]];
  if (label && mayJudge && figure) settle(figure, label);
  else if (key === "ArrowRight") go(here + 1);
  else if (key === "ArrowLeft") go(here - 1);
  else return;
  event.preventDefault();
});

go(0);
