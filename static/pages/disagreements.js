// What blinded readers disagree on: a third person settles it, or they do together.

import { call } from "../viewer/api.js";
import { around, findAll } from "../viewer/dom.js";
import { judgeByKeys } from "./by_keys.js";

/** @import { Verdict } from "../viewer/words.js" */

const list = document.getElementById("disputes");
const settle = judgeByKeys({
  pictures: () => (list ? findAll(list, ".sample") : []),
  send: async (figure, label) => {
    const { slide, x, y, expected } = figure.dataset;
    const together = figure.querySelector("[data-together]:checked") !== null;
    const body = { label, x: Number(x), y: Number(y), expected: Number(expected), together };
    const answer = await call(`/api/v1/slides/${slide}/figures/`, { method: "POST", body });
    figure.dataset.expected = String(answer.version);
  },
  mayJudge: Boolean(list?.querySelector("[data-label]")),
});

document.addEventListener("click", (event) => {
  const button = around(event, "button[data-label]", HTMLButtonElement);
  const figure = button?.closest(".sample");
  if (button && figure instanceof HTMLElement) settle(figure, /** @type {Verdict} */ (button.dataset.label));
});
