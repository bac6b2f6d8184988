// The slide itself: OpenSeadragon, where it looks, and which tool gets what the hand does.

import { apply, invert, placeFromHash, placeToHash, scaleOf } from "./geometry.js";
import { ask } from "./tools/tool.js";
import { Trail } from "./trail.js";

/** @import { Place, Point, Transform } from "./geometry.js" */
/** @import { Gesture, Position, Tool } from "./tools/tool.js" */

/** @type {OpenSeadragon.Options} */
const OPTIONS = {
  drawer: "canvas",
  showNavigator: true,
  navigatorPosition: "TOP_RIGHT",
  navigatorSizeRatio: 0.16,
  navigatorRotate: true,
  showNavigationControl: false,
  maxZoomPixelRatio: 8,
  animationTime: 0.4,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true, pinchRotate: true },
  imageSmoothingEnabled: true,
};

const PAUSES = [1000, 2000, 5000, 10_000]; // ms between tries to get tiles that did not come
const CLOSE_UP = 0.25; // um per screen px when a figure is shown

export class Stage {
  /** @type {Tool[]} asked in this order */
  tools = [];
  #held = false; // by a tool
  #trail = new Trail();
  /** Tiles that did not come. @type {Set<OpenSeadragon.Tile>} */
  #missing = new Set();
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {HTMLElement} element
   * @param {{width: number, height: number, mpp: Point | null}} config
   * @param {(message: string) => void} complain
   * @param {{named?: boolean}} [options] named: whether the address of the page is that of the place
   */
  constructor(element, { width, height, mpp }, complain, { named = true } = {}) {
    this.width = width;
    this.height = height;
    this.mpp = mpp;
    const { dzi, prefix } = element.dataset;
    this.viewer = new OpenSeadragon.Viewer({ element, tileSources: dzi, prefixUrl: prefix, ...OPTIONS });
    const { viewer } = this;
    /** Resolved when the slide can be drawn on, or never will be. @type {Promise<unknown>} */
    this.opened = new Promise((resolve) => {
      viewer.addOnceHandler("open", resolve);
      viewer.addOnceHandler("open-failed", resolve);
    });
    viewer.addHandler("open-failed", () =>
      complain("The slide cannot be shown. Reload the page; if it stays so, tell your administrator."),
    );
    if (named) this.#name();
    viewer.addHandler("animation-finish", () => {
      this.#trail.visit(this.place(), viewer.element.clientWidth, this.#unit);
    });
    viewer.addHandler("tile-load-failed", ({ tile }) => {
      this.#missing.add(tile);
      this.#timer ??= setTimeout(() => this.#getMissing(), PAUSES[Math.min(this.#tries++, PAUSES.length - 1)]);
    });
    viewer.addHandler("tile-loaded", () => (this.#tries = 0));
    addEventListener("online", () => this.#getMissing());
    this.#listen();
  }

  /** The address of the page says where it looks, and is followed. */
  #name() {
    this.viewer.addHandler("open", () => this.#goToHash(true));
    this.viewer.addHandler("animation-finish", () =>
      history.replaceState(null, "", placeToHash(this.place(), Boolean(this.mpp))),
    );
    addEventListener("hashchange", () => this.#goToHash(false));
  }

  /** OpenSeadragon never asks again for a tile that did not come, as while the network was away. */
  #getMissing() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const tile of this.#missing) tile.exists = true;
    this.#missing.clear();
    this.image?.setClip(this.image.getClip()); // has it look for the tiles of the view anew
  }

  /** Give what the hand does to the tools; what none of them takes moves the slide. */
  #listen() {
    const { viewer } = this;
    /** @param {OpenSeadragon.CanvasEvent} event @param {Gesture} gesture */
    const taken = ({ position, originalEvent }, gesture) =>
      ask(this.tools, gesture, position, /** @type {PointerEvent} */ (originalEvent));
    viewer.addHandler("canvas-key", (event) => (event.preventDefaultAction = true)); // shortcuts.js has them all
    viewer.addHandler("canvas-press", (event) => (this.#held = taken(event, "press")));
    viewer.addHandler("canvas-drag", (event) => {
      if (taken(event, "drag") || this.#held) event.preventDefaultAction = true;
    });
    viewer.addHandler("canvas-drag-end", (event) => (event.preventDefaultAction = this.#held));
    viewer.addHandler("canvas-release", (event) => {
      if (this.#held) taken(event, "release");
      setTimeout(() => (this.#held = false)); // after drag-end, which comes next
    });
    viewer.addHandler("canvas-click", (event) => event.quick && !this.#held && taken(event, "click"));
    viewer.addHandler("canvas-double-click", (event) => (event.preventDefaultAction = taken(event, "doubleClick")));
  }

  /** Null before the slide is open. @returns {OpenSeadragon.TiledImage | null} */
  get image() {
    return this.viewer.world.getItemAt(0) ?? null;
  }

  /** Whether every tile of the view is there, none of them as an enlarged coarser one. */
  get complete() {
    return this.#missing.size === 0 && (this.image?.getFullyLoaded() ?? false);
  }

  /** Level-0 pixel -> screen pixel; holds for rotation. Null before the slide is open. @returns {Transform | null} */
  transform() {
    const { image } = this;
    if (!image) return null;
    /** @param {number} x @param {number} y */
    const onScreen = (x, y) => image.imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
    const { x: w, y: h } = image.getContentSize();
    const [origin, right, down] = [onScreen(0, 0), onScreen(w, 0), onScreen(0, h)];
    const [a, b] = [(right.x - origin.x) / w, (right.y - origin.y) / w];
    return [a, b, (down.x - origin.x) / h, (down.y - origin.y) / h, origin.x, origin.y];
  }

  /** Screen pixel -> level-0 pixel. @param {Position} position @returns {Point} */
  toSlide({ x, y }) {
    return apply(invert(this.#transform()), x, y);
  }

  /** The level-0 pixel on the slide nearest to a screen pixel. @param {Position} position @returns {Point} */
  onSlide(position) {
    const [x, y] = this.toSlide(position);
    return this.inside(x, y);
  }

  /** The nearest place on the slide. @param {number} x level-0 px @param {number} y @returns {Point} */
  inside(x, y) {
    return [Math.min(this.width, Math.max(0, x)), Math.min(this.height, Math.max(0, y))];
  }

  /** Screen px -> a distance in level-0 px. @param {number} pixels */
  reach(pixels) {
    return pixels / scaleOf(this.#transform());
  }

  get centre() {
    const { clientWidth, clientHeight } = this.viewer.element;
    return this.toSlide({ x: clientWidth / 2, y: clientHeight / 2 });
  }

  /** um (px where unknown) per screen pixel. */
  get scale() {
    return this.#unit / scaleOf(this.#transform());
  }

  set scale(value) {
    this.viewer.viewport.zoomTo(this.#zoom(value)).applyConstraints();
  }

  /** A magnification as at a microscope; where um/px is unknown, as on a 40x scan. @param {number} umPerPixel */
  magnify(umPerPixel) {
    this.scale = this.mpp ? umPerPixel : umPerPixel / CLOSE_UP;
  }

  place() {
    const [x, y] = this.centre;
    return { x, y, scale: this.scale, rotation: this.viewer.viewport.getRotation(true) };
  }

  /** Show a place; closer than now where `scale` says so. @param {number} x level-0 px @param {number} y */
  goTo(x, y, scale = this.scale) {
    if (scale < this.scale) this.scale = scale;
    this.viewer.viewport.panTo(this.#image().imageToViewportCoordinates(x, y)).applyConstraints();
  }

  /** Show a place as at 40x. @param {number} x level-0 px @param {number} y */
  closeUp(x, y) {
    this.goTo(x, y, this.mpp ? CLOSE_UP : 1);
  }

  /** Show a place at once, as it is. @param {Place} place */
  jump(place) {
    this.#show(place, true);
  }

  /** Show what was shown before; whether there was something. */
  back() {
    const place = this.#trail.back();
    if (place) this.#show(place, false);
    return place !== null;
  }

  home() {
    this.viewer.viewport.goHome();
  }

  /** @param {number} shareX of the view @param {number} shareY */
  panBy(shareX, shareY) {
    const { viewport, element } = this.viewer;
    const pixels = new OpenSeadragon.Point(shareX * element.clientWidth, shareY * element.clientHeight);
    viewport.panBy(viewport.deltaPointsFromPixels(pixels)).applyConstraints();
  }

  /** @param {number} factor */
  zoomBy(factor) {
    this.viewer.viewport.zoomBy(factor).applyConstraints();
  }

  /** @param {number} degrees */
  rotateBy(degrees) {
    const { viewport } = this.viewer;
    viewport.setRotation(viewport.getRotation() + degrees);
  }

  /** How the picture is shown, never how it is stored. @param {number} brightness @param {number} contrast */
  setLight(brightness, contrast) {
    const canvas = /** @type {HTMLCanvasElement} */ (this.viewer.drawer.canvas);
    const plain = brightness === 1 && contrast === 1;
    canvas.style.filter = plain ? "" : `brightness(${brightness}) contrast(${contrast})`;
  }

  /** um per level-0 px, 1 where unknown. */
  get #unit() {
    return this.mpp?.[0] ?? 1;
  }

  #image() {
    const { image } = this;
    if (!image) throw new Error("The slide is not open yet.");
    return image;
  }

  #transform() {
    return /** @type {Transform} */ (this.#image() && this.transform());
  }

  /** @param {number} scale um (px where unknown) per screen pixel */
  #zoom(scale) {
    return this.#image().imageToViewportZoom(this.#unit / scale);
  }

  /** @param {boolean} immediately */
  #goToHash(immediately) {
    const place = placeFromHash(location.hash, this.mpp?.[0]);
    if (place) this.#show(place, immediately);
  }

  /** @param {Place} place @param {boolean} immediately */
  #show(place, immediately) {
    const { viewport } = this.viewer;
    viewport.setRotation(place.rotation, immediately);
    viewport.zoomTo(this.#zoom(place.scale), undefined, immediately);
    viewport.panTo(this.#image().imageToViewportCoordinates(place.x, place.y), immediately);
  }
}
