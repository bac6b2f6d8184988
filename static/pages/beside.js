// Two slides beside each other: what one is moved, zoomed and turned, the other is too, from where they lie when linked.

import * as api from "../viewer/api.js";
import { unpack } from "../viewer/columns.js";
import { at, find, findAll, sentenceOf } from "../viewer/dom.js";
import { Overlay } from "../viewer/overlay.js";
import { showScaleBar } from "../viewer/scalebar.js";
import { emptyScene } from "../viewer/scene.js";
import { Stage } from "../viewer/stage.js";
import { Store } from "../viewer/store.js";
import { complain } from "../viewer/toast.js";

/** @import { Place, Point } from "../viewer/geometry.js" */
/** @typedef {{stage: Stage, store: Store}} Side */
/** @typedef {{dx: number, dy: number, zoom: number, turn: number}} Link  of the right one to the left, um (px where unknown) */

const FROM = at("from", HTMLInputElement);

/** @param {HTMLElement} section @returns {Promise<Side>} */
async function open(section) {
  /** @type {{slide: string, run: string | null, width: number, height: number, mpp: Point | null}} */
  const config = JSON.parse(at(section.dataset.side ?? "").textContent ?? "");
  const store = new Store(Number(FROM.value), Flatbush);
  const stage = new Stage(find(section, ".besides-viewer", HTMLElement), config, complain, { named: false });
  const note = find(section, "[data-note]", HTMLElement);
  const canvas = find(section, ".besides-overlay", HTMLCanvasElement);
  const overlay = new Overlay(stage, canvas, store, emptyScene(), (words) => (note.textContent = words));
  showScaleBar(stage, find(section, ".scalebar", HTMLElement));
  await stage.opened;
  if (config.run) store.load(unpack(await api.candidates(config.slide, config.run)));
  overlay.update();
  return { stage, store };
}

/** Where a stage looks, in um. @param {Stage} stage @returns {Place} */
function umOf(stage) {
  const { x, y, scale, rotation } = stage.place();
  const [umX, umY] = stage.mpp ?? [1, 1];
  return { x: x * umX, y: y * umY, scale, rotation };
}

/** @param {Stage} left @param {Stage} right @returns {Link} */
function linkOf(left, right) {
  const [one, other] = [umOf(left), umOf(right)];
  return {
    dx: other.x - one.x,
    dy: other.y - one.y,
    zoom: other.scale / one.scale,
    turn: other.rotation - one.rotation,
  };
}

/** @param {Stage} from @param {Stage} to @param {Link} link */
function follow(from, to, { dx, dy, zoom, turn }) {
  const { x, y, scale, rotation } = umOf(from);
  const [umX, umY] = to.mpp ?? [1, 1];
  to.jump({ x: (x + dx) / umX, y: (y + dy) / umY, scale: scale * zoom, rotation: rotation + turn });
}

async function start() {
  const [left, right] = await Promise.all(findAll(document, ".beside > section").map(open));
  const linked = at("linked", HTMLInputElement);
  let link = linkOf(left.stage, right.stage);
  let moving = false; // the other one follows: it leads nobody
  linked.addEventListener("change", () => (link = linkOf(left.stage, right.stage)));
  /** @param {Stage} from @param {Stage} to @param {() => Link} how */
  const lead = (from, to, how) =>
    from.viewer.addHandler("update-viewport", () => {
      if (moving || !linked.checked) return;
      moving = true;
      follow(from, to, how());
      requestAnimationFrame(() => (moving = false));
    });
  lead(left.stage, right.stage, () => link);
  lead(right.stage, left.stage, () => ({ dx: -link.dx, dy: -link.dy, zoom: 1 / link.zoom, turn: -link.turn }));
  FROM.addEventListener("input", () => {
    at("shown-from").textContent = FROM.value;
    for (const { store } of [left, right]) store.setMinScore(Number(FROM.value));
  });
  document.body.dataset.ready = "true";
}

start().catch((error) => complain(sentenceOf(error)));
