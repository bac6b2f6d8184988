// One canvas over OpenSeadragon for all candidates, drawn at most once per animation frame.

const RING_UM = 9; // radius of a ring: a mitotic figure and its cytoplasm
const SMALLEST = 3.5; // px on screen
const COLOUR = { ring: "#0072b2", halo: "#ffffff", selected: "#e69f00" };

export class Overlay {
  #viewer;
  #canvas;
  #store;
  #pixelsPerUm;
  #waiting = false;

  /**
   * @param {object} viewer OpenSeadragon
   * @param {HTMLCanvasElement} canvas over the viewer, of the same size
   * @param {import("./store.js").Store} store
   * @param {number} mpp um per level-0 pixel, 0.25 where unknown
   */
  constructor(viewer, canvas, store, mpp) {
    this.#viewer = viewer;
    this.#canvas = canvas;
    this.#store = store;
    this.#pixelsPerUm = 1 / mpp;
    for (const event of ["open", "update-viewport", "animation", "resize"]) viewer.addHandler(event, () => this.update());
    store.observe(() => this.update());
  }

  update() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#draw();
    });
  }

  /** Level-0 pixel -> screen pixel as [a, b, c, d, e, f]: x' = a x + c y + e, y' = b x + d y + f. Holds for rotation. */
  transform() {
    const image = this.#viewer.world.getItemAt(0);
    if (!image) return null;
    const at = (x, y) => image.imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
    const size = image.getContentSize();
    const [origin, right, down] = [at(0, 0), at(size.x, 0), at(0, size.y)];
    return [
      (right.x - origin.x) / size.x, (right.y - origin.y) / size.x,
      (down.x - origin.x) / size.y, (down.y - origin.y) / size.y,
      origin.x, origin.y,
    ];
  }

  #draw() {
    const canvas = this.#canvas;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const transform = this.transform();
    if (!transform) return;
    const [a, b, c, d, e, f] = transform;
    const radius = Math.max(SMALLEST, RING_UM * this.#pixelsPerUm * Math.hypot(a, b));
    const { candidates, visible, selected } = this.#store;

    const rings = new Path2D();
    for (let i = 0; i < visible; i++) {
      const x = a * candidates[i].x + c * candidates[i].y + e;
      const y = b * candidates[i].x + d * candidates[i].y + f;
      if (x < -radius || y < -radius || x > width + radius || y > height + radius) continue;
      rings.moveTo(x + radius, y);
      rings.arc(x, y, radius, 0, 2 * Math.PI);
    }
    context.strokeStyle = COLOUR.halo;
    context.lineWidth = 4;
    context.stroke(rings);
    context.strokeStyle = COLOUR.ring;
    context.lineWidth = 2;
    context.stroke(rings);

    if (selected >= 0) {
      const x = a * candidates[selected].x + c * candidates[selected].y + e;
      const y = b * candidates[selected].x + d * candidates[selected].y + f;
      const half = radius + 6; // a square around the ring: shape, not colour alone
      for (const [colour, line] of [[COLOUR.halo, 5], [COLOUR.selected, 3]]) {
        context.strokeStyle = colour;
        context.lineWidth = line;
        context.strokeRect(x - half, y - half, 2 * half, 2 * half);
      }
    }
  }
}
