// The slide itself: OpenSeadragon, where it looks, and which tool gets what the hand does.

import { invert, apply, placeFromHash, placeToHash, scaleOf } from "./geometry.js";

/**
 * What a tool may handle; true where it did, and nobody else is asked. position: screen px.
 * @typedef {{press?: Function, drag?: Function, release?: Function, click?: Function, doubleClick?: Function}} Tool
 */

export class Stage {
  /** @type {Tool[]} */
  tools = [];
  brightness = 1;
  contrast = 1;

  /**
   * @param {HTMLElement} element
   * @param {{width: number, height: number, mpp: [number, number] | null}} config
   * @param {(message: string) => void} complain
   */
  constructor(element, { width, height, mpp }, complain) {
    this.width = width;
    this.height = height;
    this.mpp = mpp;
    this.viewer = OpenSeadragon({
      element,
      tileSources: element.dataset.dzi,
      prefixUrl: element.dataset.prefix,
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
    });
    const { viewer } = this;
    /** Resolved when the slide can be drawn on, or never will be. */
    this.opened = new Promise((resolve) => {
      viewer.addOnceHandler("open", resolve);
      viewer.addOnceHandler("open-failed", resolve);
    });
    viewer.addHandler("open-failed", () =>
      complain("The slide cannot be shown. Reload the page; if it stays so, tell your administrator."),
    );
    viewer.addHandler("open", () => this.#goToHash(true));
    viewer.addHandler("animation-finish", () => history.replaceState(null, "", placeToHash(this.place())));
    addEventListener("hashchange", () => this.#goToHash(false));
    viewer.addHandler("canvas-key", (event) => (event.preventDefaultAction = true)); // keys.js has them all
    const ask = (event, name) => this.tools.some((tool) => tool[name]?.(event.position, event.originalEvent));
    viewer.addHandler("canvas-press", (event) => (this.#held = ask(event, "press")));
    viewer.addHandler("canvas-drag", (event) => {
      if (this.#held || ask(event, "drag")) {
        if (this.#held) ask(event, "drag");
        event.preventDefaultAction = true;
      }
    });
    viewer.addHandler("canvas-drag-end", (event) => (event.preventDefaultAction = this.#held));
    viewer.addHandler("canvas-release", (event) => {
      if (this.#held) ask(event, "release");
      setTimeout(() => (this.#held = false)); // after drag-end, which comes next
    });
    viewer.addHandler("canvas-click", (event) => event.quick && !this.#held && ask(event, "click"));
    viewer.addHandler("canvas-double-click", (event) => (event.preventDefaultAction = ask(event, "doubleClick")));
  }

  #held = false;

  get image() {
    return this.viewer.world.getItemAt(0);
  }

  /** Level-0 pixel -> screen pixel; holds for rotation. Null before the slide is open. */
  transform() {
    const { image } = this;
    if (!image) return null;
    const at = (x, y) => image.imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
    const { x: w, y: h } = image.getContentSize();
    const [origin, right, down] = [at(0, 0), at(w, 0), at(0, h)];
    return [
      (right.x - origin.x) / w,
      (right.y - origin.y) / w,
      (down.x - origin.x) / h,
      (down.y - origin.y) / h,
      origin.x,
      origin.y,
    ];
  }

  /** Screen pixel -> level-0 pixel. */
  toSlide({ x, y }) {
    return apply(invert(this.transform()), x, y);
  }

  /** Screen px -> a distance in level-0 px. */
  reach(pixels) {
    return pixels / scaleOf(this.transform());
  }

  get centre() {
    const { clientWidth, clientHeight } = this.viewer.element;
    return this.toSlide({ x: clientWidth / 2, y: clientHeight / 2 });
  }

  /** um (px where unknown) per screen pixel. */
  get scale() {
    return (this.mpp?.[0] ?? 1) / scaleOf(this.transform());
  }

  set scale(value) {
    const { viewport } = this.viewer;
    viewport.zoomTo(this.image.imageToViewportZoom((this.mpp?.[0] ?? 1) / value)).applyConstraints();
  }

  place() {
    const [x, y] = this.centre;
    return { x, y, scale: this.scale, rotation: this.viewer.viewport.getRotation(true) };
  }

  /** Show a place; closer than now where `scale` says so. */
  goTo(x, y, scale = this.scale) {
    const { viewport } = this.viewer;
    if (scale < this.scale) this.scale = scale;
    viewport.panTo(this.image.imageToViewportCoordinates(x, y)).applyConstraints();
  }

  home() {
    this.viewer.viewport.goHome();
  }

  panBy(shareX, shareY) {
    const { viewport, element } = this.viewer;
    const pixels = new OpenSeadragon.Point(shareX * element.clientWidth, shareY * element.clientHeight);
    viewport.panBy(viewport.deltaPointsFromPixels(pixels)).applyConstraints();
  }

  zoomBy(factor) {
    this.viewer.viewport.zoomBy(factor).applyConstraints();
  }

  rotateBy(degrees) {
    const { viewport } = this.viewer;
    viewport.setRotation(viewport.getRotation() + degrees);
  }

  /** How the picture is shown, never how it is stored. */
  setLight(brightness, contrast) {
    [this.brightness, this.contrast] = [brightness, contrast];
    this.viewer.drawer.canvas.style.filter =
      brightness === 1 && contrast === 1 ? "" : `brightness(${brightness}) contrast(${contrast})`;
  }

  #goToHash(immediately) {
    const place = placeFromHash(location.hash);
    if (!place) return;
    const { viewport } = this.viewer;
    viewport.setRotation(place.rotation, immediately);
    viewport.zoomTo(this.image.imageToViewportZoom((this.mpp?.[0] ?? 1) / place.scale), null, immediately);
    viewport.panTo(this.image.imageToViewportCoordinates(place.x, place.y), immediately);
  }
}
