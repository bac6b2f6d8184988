// A bar of a round length in um, and the position under the pointer.

const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000];
const WIDEST = 140; // px

/**
 * @param {object} viewer OpenSeadragon
 * @param {HTMLElement} element
 * @param {[number, number] | null} mpp um per level-0 pixel
 * @param {() => number[] | null} transform level-0 pixel -> screen pixel
 */
export function showScaleBar(viewer, element, mpp, transform) {
  const bar = element.firstElementChild;
  const update = () => {
    const t = transform();
    if (!t) return;
    const screenPerPixel = Math.hypot(t[0], t[1]);
    const screenPerUnit = mpp ? screenPerPixel / mpp[0] : screenPerPixel;
    const length = LENGTHS.findLast((value) => value * screenPerUnit <= WIDEST) ?? LENGTHS[0];
    bar.style.width = `${length * screenPerUnit}px`;
    bar.textContent = !mpp ? `${length} px` : length >= 1000 ? `${length / 1000} mm` : `${length} µm`;
    element.setAttribute("aria-label", `Scale bar: ${bar.textContent}`);
  };
  for (const event of ["open", "update-viewport", "resize"]) viewer.addHandler(event, update);
}

/** Show where the pointer is, in um (or px) from the top left of the slide. */
export function showPosition(viewer, element, mpp) {
  new OpenSeadragon.MouseTracker({
    element: viewer.container,
    moveHandler: (event) => {
      const image = viewer.world.getItemAt(0);
      if (!image) return;
      const { x, y } = image.viewerElementToImageCoordinates(event.position);
      const text = (value, step) => (mpp ? (value * step).toFixed(1) : Math.round(value));
      element.textContent = `x ${text(x, mpp?.[0])}, y ${text(y, mpp?.[1])} ${mpp ? "µm" : "px"}`;
    },
    leaveHandler: () => (element.textContent = ""),
  });
}
