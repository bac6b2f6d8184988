// Wires the parts of the slide page together, nothing else.

import * as api from "./api.js";
import { followJob } from "./job.js";
import { Overlay } from "./overlay.js";
import { Panel } from "./panel.js";
import { showPosition, showScaleBar } from "./scalebar.js";
import { Store } from "./store.js";

const CLOSE_UP = 1; // screen pixels per level-0 pixel when a candidate is shown

const config = JSON.parse(document.getElementById("config").textContent);
const problem = document.getElementById("problem");
const element = document.getElementById("viewer");
const store = new Store(config.defaultScore);

function complain(message) {
  problem.textContent = message;
  problem.hidden = false;
}

if (element) {
  const viewer = OpenSeadragon({
    element,
    tileSources: element.dataset.dzi,
    prefixUrl: element.dataset.prefix,
    drawer: "canvas",
    showNavigator: true,
    navigatorPosition: "TOP_RIGHT",
    navigatorSizeRatio: 0.16,
    showNavigationControl: false,
    maxZoomPixelRatio: 4,
    animationTime: 0.4,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    imageSmoothingEnabled: true,
  });
  viewer.addHandler("open-failed", () => complain("The slide cannot be shown. Reload the page; if it stays so, tell your administrator."));
  const overlay = new Overlay(viewer, document.getElementById("overlay"), store, config.mpp?.[0] ?? 0.25);
  showScaleBar(viewer, document.getElementById("scalebar"), config.mpp, () => overlay.transform());
  showPosition(viewer, document.getElementById("position"), config.mpp);

  const go = (index) => {
    store.select(index);
    const candidate = store.candidates[store.selected];
    if (!candidate) return;
    const image = viewer.world.getItemAt(0);
    const zoom = Math.max(viewer.viewport.getZoom(), image.imageToViewportZoom(CLOSE_UP));
    viewer.viewport.zoomTo(zoom);
    viewer.viewport.panTo(image.imageToViewportCoordinates(candidate.x, candidate.y));
  };
  const panel = new Panel(config, store, go);
  viewer.addHandler("canvas-click", (event) => {
    if (!event.quick) return;
    const image = viewer.world.getItemAt(0);
    const { x, y } = image.viewerElementToImageCoordinates(event.position);
    const [a, b] = overlay.transform();
    const index = store.nearest(x, y, 14 / Math.hypot(a, b));
    if (index >= 0) store.select(index);
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input:not([type=range]), select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = { j: 1, k: -1 }[event.key.toLowerCase()];
    if (!direction) return;
    event.preventDefault();
    store.step(direction);
    go(store.selected);
  });
  if (config.run) load(panel).catch((error) => complain(error.message));
}

async function load(panel) {
  const counted = panel.confirm();
  for await (const page of api.candidatePages(config.slide, config.run, config.floor)) store.add(page.results, page.total);
  await counted;
  panel.update();
}

async function ask() {
  try {
    await api.detect(config.slide);
    follow();
  } catch (error) {
    complain(error.message);
  }
}

function follow() {
  followJob(config.slide, {
    ended: (job) => {
      if (job.state === "succeeded") location.reload();
      else if (job.state === "failed") complain(job.error);
      document.getElementById("ask").hidden = config.state !== "ready";
    },
    failed: complain,
  });
}

document.getElementById("detect").addEventListener("click", ask);
document.getElementById("again")?.addEventListener("click", ask);
document.getElementById("mpp-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  try {
    await api.call(form.dataset.url, { method: "POST", body: { mpp: Number(form.mpp.value.replace(",", ".")) } });
    location.reload();
  } catch (error) {
    complain(error.message);
  }
});
follow();
