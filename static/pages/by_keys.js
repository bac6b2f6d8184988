// Judging pictures one after the other, by the keys of the slide page: mined samples, and what readers disagree on.

import { at, find, sentenceOf } from "../viewer/dom.js";
import { labelled } from "../viewer/words.js";

/** @import { Verdict } from "../viewer/words.js" */

const LABELS = /** @type {Record<string, Verdict>} */ ({ m: "mitotic", n: "non_mitotic", u: "unsure" });

/**
 * @param {object} parts
 * @param {() => HTMLElement[]} parts.pictures those that are on the page now, each with its `data-verdict`, "" for none
 * @param {(picture: HTMLElement, label: Verdict) => Promise<void>} parts.send tell the server
 * @param {boolean} [parts.mayJudge]
 * @returns {(picture: HTMLElement, label: Verdict) => Promise<void>} for who judges by buttons
 */
export function judgeByKeys({ pictures, send, mayJudge = true }) {
  const firstLeft = () => pictures().findIndex((one) => !one.dataset.verdict);
  let here = 0;
  let busy = false;

  /** @param {number} number */
  const go = (number) => {
    const all = pictures();
    here = Math.min(Math.max(number, 0), all.length - 1);
    for (const [index, one] of all.entries()) one.classList.toggle("current", index === here);
    all[here]?.scrollIntoView({ block: "nearest" });
  };

  /** @param {HTMLElement} picture @param {Verdict} label */
  const judge = async (picture, label) => {
    if (busy) return;
    busy = true;
    const problem = at("problem");
    go(pictures().indexOf(picture));
    try {
      await send(picture, label);
      problem.hidden = true;
      picture.dataset.verdict = label;
      const said = find(picture, "[data-said]");
      said.textContent = labelled(label);
      said.className = `tag ${label === "mitotic" ? "good" : "bad"}`;
      said.hidden = false;
      const next = pictures().findIndex((one, index) => index > here && !one.dataset.verdict);
      if (firstLeft() < 0)
        location.reload(); // what follows from all of them
      else go(next < 0 ? firstLeft() : next);
    } catch (error) {
      problem.textContent = sentenceOf(error);
      problem.hidden = false;
      problem.scrollIntoView({ block: "nearest" });
    }
    busy = false;
  };

  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    const typing = target instanceof HTMLInputElement && target.type !== "checkbox";
    if (typing || target instanceof HTMLSelectElement || event.repeat) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [label, picture] = [LABELS[key.toLowerCase()], pictures()[here]];
    if (label && mayJudge && picture) judge(picture, label);
    else if (key === "ArrowRight") go(here + 1);
    else if (key === "ArrowLeft") go(here - 1);
    else return;
    event.preventDefault();
  });

  go(firstLeft());
  return judge;
}
