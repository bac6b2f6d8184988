// A bar of a round length, the magnification, and the position under the pointer.

import { find } from "./dom.js";
import { magnification, roundLength, scaleOf } from "./geometry.js";

/** @import { Stage } from "./stage.js" */
/** @import { Position } from "./tools/tool.js" */

const WIDEST = 140; // px

/** @param {Stage} stage @param {HTMLElement} element with a bar and words */
export function showScaleBar(stage, element) {
  const [bar, words] = [find(element, "span"), find(element, "small")];
  const { viewer, mpp } = stage;
  let shown = 0;
  const update = () => {
    const transform = stage.transform();
    if (!transform) return;
    const perUnit = scaleOf(transform) / (mpp?.[0] ?? 1);
    if (Math.abs(perUnit / shown - 1) < 1e-6) return; // moved, not zoomed
    shown = perUnit;
    const length = roundLength(perUnit, WIDEST);
    bar.style.width = `${length * perUnit}px`;
    bar.textContent = !mpp ? `${length} px` : length >= 1000 ? `${length / 1000} mm` : `${length} µm`;
    words.textContent = mpp
      ? `${Number((1 / perUnit).toPrecision(3))} µm/px · ${magnification(1 / perUnit, mpp[0])}`
      : "µm/px unknown";
    element.setAttribute("aria-label", `Scale bar ${bar.textContent}; ${words.textContent}`);
  };
  for (const event of /** @type {const} */ (["open", "update-viewport", "resize"])) viewer.addHandler(event, update);
}

/**
 * Show where the pointer is, in um (or px) from the top left of the slide.
 * @param {Stage} stage
 * @param {HTMLElement} element
 * @returns {() => Position | null} where it is
 */
export function showPosition(stage, element) {
  /** @type {Position | null} */
  let pointer = null;
  const { viewer, mpp } = stage;
  /** @param {number} value level-0 px @param {number} [step] um */
  const length = (value, step) => (step ? (value * step).toFixed(1) : value.toFixed(0));
  viewer.container.addEventListener("pointermove", (event) => {
    if (!stage.image) return;
    const frame = viewer.element.getBoundingClientRect();
    pointer = { x: event.clientX - frame.left, y: event.clientY - frame.top };
    const [x, y] = stage.toSlide(pointer);
    element.textContent = `x ${length(x, mpp?.[0])}, y ${length(y, mpp?.[1])} ${mpp ? "µm" : "px"}`;
  });
  viewer.container.addEventListener("pointerleave", () => {
    pointer = null;
    element.textContent = "";
  });
  return () => pointer;
}
