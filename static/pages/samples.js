// Judging the random draw of mined samples one after the other, by the keys of the slide page.

import { call } from "../viewer/api.js";
import { at, find, findAll, sentenceOf } from "../viewer/dom.js";
import { labelled } from "../viewer/words.js";

/** @import { Verdict } from "../viewer/words.js" */

const LABELS = /** @type {Record<string, Verdict>} */ ({ m: "mitotic", n: "non_mitotic", u: "unsure" });

const drawn = at("drawn");
const samples = findAll(drawn, ".sample");
let here = Math.max(
  samples.findIndex((one) => !one.dataset.verdict),
  0,
);

/** @param {number} number */
function go(number) {
  here = Math.min(Math.max(number, 0), samples.length - 1);
  for (const [index, one] of samples.entries()) one.classList.toggle("current", index === here);
  samples[here]?.scrollIntoView({ block: "nearest" });
}

/** @param {Verdict} label */
async function judge(label) {
  const [sample, problem] = [samples[here], at("problem")];
  if (!sample) return;
  try {
    const { sentence } = await call(drawn.dataset.judge ?? "", {
      method: "POST",
      body: { sample: Number(sample.dataset.sample), label },
    });
    problem.hidden = true;
    sample.dataset.verdict = label;
    const said = find(sample, "[data-said]");
    said.textContent = labelled(label);
    said.className = `tag ${label === "mitotic" ? "good" : "bad"}`;
    said.hidden = false;
    at("so-far").textContent = sentence;
    const next = samples.findIndex((one, index) => index > here && !one.dataset.verdict);
    if (samples.every((one) => one.dataset.verdict))
      location.reload(); // what follows from all of them
    else go(next < 0 ? samples.findIndex((one) => !one.dataset.verdict) : next);
  } catch (error) {
    problem.textContent = sentenceOf(error);
    problem.hidden = false;
  }
}

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  const typing = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const label = LABELS[key.toLowerCase()];
  if (label) judge(label);
  else if (key === "ArrowRight") go(here + 1);
  else if (key === "ArrowLeft") go(here - 1);
  else return;
  event.preventDefault();
});

go(here);
