// A bar of a round length, the magnification, and the position under the pointer.

import { magnification, roundLength, scaleOf } from "./geometry.js";

const WIDEST = 140; // px

/** @param {import("./stage.js").Stage} stage @param {HTMLElement} element with .length, .scale */
export function showScaleBar(stage, element) {
  const [bar, words] = element.children;
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
      ? `${Number((1 / perUnit).toPrecision(3))} µm/px · ${magnification(1 / perUnit)}`
      : "µm/px unknown";
    element.setAttribute("aria-label", `Scale bar ${bar.textContent}; ${words.textContent}`);
  };
  for (const event of ["open", "update-viewport", "resize"]) viewer.addHandler(event, update);
}

/** Show where the pointer is, in um (or px) from the top left of the slide; returns where it is, as screen px or null. */
export function showPosition(stage, element) {
  let pointer = null;
  const { viewer, mpp } = stage;
  viewer.container.addEventListener("pointermove", (event) => {
    if (!stage.image) return;
    const frame = viewer.element.getBoundingClientRect();
    pointer = { x: event.clientX - frame.left, y: event.clientY - frame.top };
    const [x, y] = stage.toSlide(pointer);
    const text = (value, step) => (mpp ? (value * step).toFixed(1) : Math.round(value));
    element.textContent = `x ${text(x, mpp?.[0])}, y ${text(y, mpp?.[1])} ${mpp ? "µm" : "px"}`;
  });
  viewer.container.addEventListener("pointerleave", () => {
    pointer = null;
    element.textContent = "";
  });
  return () => pointer;
}
