// Judging the random draw of mined samples one after the other, by the keys of the slide page.

import { call } from "../viewer/api.js";
import { at, find, findAll, sentenceOf } from "../viewer/dom.js";
import { labelled } from "../viewer/words.js";

/** @import { Verdict } from "../viewer/words.js" */

const LABELS = /** @type {Record<string, Verdict>} */ ({ m: "mitotic", n: "non_mitotic", u: "unsure" });

/** Those that are on the page now: it is shown again while more are mined. */
const samples = () => findAll(at("drawn"), ".sample");
const firstLeft = () => samples().findIndex((one) => !one.dataset.verdict);
let here = Math.max(firstLeft(), 0);

/** @param {number} number */
function go(number) {
  const all = samples();
  here = Math.min(Math.max(number, 0), all.length - 1);
  for (const [index, one] of all.entries()) one.classList.toggle("current", index === here);
  all[here]?.scrollIntoView({ block: "nearest" });
}

/** @param {Verdict} label */
async function judge(label) {
  const [sample, problem] = [samples()[here], at("problem")];
  if (!sample) return;
  try {
    const { sentence } = await call(at("drawn").dataset.judge ?? "", {
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
    const next = samples().findIndex((one, index) => index > here && !one.dataset.verdict);
    if (firstLeft() < 0)
      location.reload(); // what follows from all of them
    else go(next < 0 ? firstLeft() : next);
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
