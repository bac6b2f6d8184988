// Wires the parts of the slide page together, nothing else.

import * as api from "./api.js";
import { unpack } from "./columns.js";
import { startFiles } from "./files.js";
import { Histogram } from "./histogram.js";
import { FieldTool } from "./tools/field.js";
import { followJob } from "./job.js";
import { describe, listen } from "./keys.js";
import { Numbers } from "./numbers.js";
import { Overlay } from "./overlay.js";
import { RegionTool } from "./tools/region.js";
import { RegionPanel } from "./region_panel.js";
import { Review } from "./review.js";
import { Runs } from "./runs.js";
import { showPosition, showScaleBar } from "./scalebar.js";
import { Stage } from "./stage.js";
import { Store } from "./store.js";
import { startTabs } from "./tabs.js";
import { Undo } from "./undo.js";

const CLICK = 16; // screen px within which a click means a candidate
const FIELDS = { 5: 2, 6: 1, 7: 0.5, 8: 0.25 }; // key -> um per screen px

const config = JSON.parse(document.getElementById("config").textContent);
const at = (id) => document.getElementById(id);
const problem = at("problem");

function complain(message) {
  problem.textContent = message;
  problem.hidden = false;
}

let fading = null;
function say(words, kind = "") {
  const toast = at("toast");
  toast.textContent = words;
  toast.dataset.kind = kind;
  clearTimeout(fading);
  fading = setTimeout(() => (toast.textContent = ""), kind === "warn" ? 12000 : 4000);
}

if (at("viewer")) open().catch((error) => complain(error.message));
watchJob();

async function open() {
  const store = new Store(config.defaultScore, Flatbush);
  const stage = new Stage(at("viewer"), config, complain);
  const scene = { hidden: false, points: false, hotspots: [], hpf: null, other: null, draft: null, region: null };
  const undo = new Undo();
  const overlay = new Overlay(
    stage,
    at("overlay"),
    store,
    scene,
    (words) => at("view-note").textContent !== words && (at("view-note").textContent = words),
  );
  showScaleBar(stage, at("scalebar"));
  const pointer = showPosition(stage, at("position"));
  startTabs(at("tabs"));

  const numbers = config.run ? new Numbers(config, store, scene) : null;
  const regions = new RegionPanel({
    config,
    store,
    scene,
    undo,
    say,
    changed: () => overlay.update(),
    counted: () => numbers?.update(),
  });
  const tool = new RegionTool(stage, store, scene, regions);
  regions.tool = tool;
  const hpf = new FieldTool(stage, scene, () => {
    sayHpf();
    overlay.update();
  });
  stage.tools.push(tool, hpf);

  function sayHpf() {
    if (!scene.hpf) return (at("hpf-say").textContent = "");
    const { ai, reviewed } = store.numbers(scene.hpf);
    scene.hpf.say = `${reviewed} in ${scene.hpf.areaMm2} mm²`;
    at("hpf-say").textContent =
      `${reviewed} reviewed, ${ai} by AI in ${scene.hpf.areaMm2} mm². Drag its rim, or Shift and the arrows.`;
  }
  const showHpf = (on) => {
    if (!config.mpp) return say("The µm/px of this slide is not known, so an area cannot be outlined.", "warn");
    const [area, shape] = at("hpf-area").value.split(" ");
    hpf.show(on ? Number(area) : null, shape);
    at("tool-hpf").setAttribute("aria-pressed", String(on));
    at("hpf-box").hidden = !on;
  };
  at("hpf-area").addEventListener("change", () => showHpf(true));

  const loading = config.run && api.candidates(config.slide, config.run);
  await regions.load();
  if (!config.run) return bind(commonKeys());

  const review = new Review({ config, store, stage, undo, say, judged: () => numbers.update() });
  review.onOthers = () => {
    review.list();
    numbers.update();
  };
  startFiles(at("files"), config.slide, {
    asked: () => numbers.question(),
    taken: async () => {
      await Promise.all([regions.load(), review.refreshFigures()]);
      numbers.update();
    },
  });
  const runs = new Runs(config, store, scene, {
    changed: () => overlay.update(),
    say,
    go: (x, y) => stage.goTo(x, y, config.mpp ? 0.25 : 1),
  });
  const histogram = new Histogram(at("histogram"), store, config.floor);
  const slider = at("score");
  const setScore = (score) => {
    slider.value = Math.min(slider.max, Math.max(slider.min, score));
    store.setMinScore(Number(slider.value));
    at("score-value").textContent = store.minScore.toFixed(2);
    histogram.draw();
    numbers.update();
    sayHpf();
  };
  let settling = null;
  const settle = () => {
    clearTimeout(settling);
    settling = setTimeout(() => {
      review.list();
      runs.update().catch((error) => say(error.message, "warn"));
    }, 120);
  };
  slider.min = config.floor;
  slider.addEventListener("input", () => {
    setScore(Number(slider.value));
    settle();
  });
  addEventListener("resize", () => histogram.draw());

  stage.tools.push({
    click(position) {
      const [x, y] = stage.toSlide(position);
      if (adding) {
        setAdding(false);
        review.add(x, y);
        return true;
      }
      const spot = store.nearest(x, y, stage.reach(CLICK));
      if (spot < 0) return false;
      review.select(spot, false);
      return true;
    },
  });
  let adding = false;
  const setAdding = (on) => {
    adding = on;
    at("tool-add").setAttribute("aria-pressed", String(on));
    at("viewer").classList.toggle("crosshair", on);
    if (on) say("Click on the missed figure. Esc gives up.");
  };
  const addHere = () => review.add(...(pointer() ? stage.toSlide(pointer()) : stage.centre));
  let hotspot = -1;
  const nextHotspot = () => {
    if (!scene.hotspots.length)
      return say("There is no hotspot: nothing is counted, or the area is not known.", "warn");
    hotspot = (hotspot + 1) % scene.hotspots.length;
    const { x, y, side } = scene.hotspots[hotspot];
    stage.scale = (1.2 * side * config.mpp[0]) / Math.min(at("viewer").clientWidth, at("viewer").clientHeight);
    stage.goTo(x, y);
  };
  const takeBack = async () => {
    try {
      const what = await undo.back();
      say(what ? `Taken back: ${what}.` : "There is nothing to take back on this page.", what ? "" : "warn");
    } catch (error) {
      say(error.message, "warn");
    }
    numbers.update();
  };

  bind([
    { group: "Review", keys: ["j"], say: "Next figure", run: () => review.step(1) },
    { group: "Review", keys: ["k"], say: "Previous figure", run: () => review.step(-1) },
    { group: "Review", keys: ["m"], say: "Mitotic figure", run: () => review.judge("mitotic") },
    { group: "Review", keys: ["n"], say: "Not a mitotic figure", run: () => review.judge("non_mitotic") },
    { group: "Review", keys: ["u"], say: "Unsure", run: () => review.judge("unsure") },
    { group: "Review", keys: ["z"], say: "Take back, as often as you like", run: takeBack },
    {
      group: "Review",
      keys: ["c"],
      say: "Context of the figure, or the figure alone",
      run: () => review.card.toggleContext(),
    },
    { group: "Review", keys: ["a"], say: "Add a missed figure under the pointer (or in the middle)", run: addHere },
    {
      group: "Review",
      keys: ["[", "]"],
      say: "Threshold down, up",
      run: (event) => (setScore(store.minScore + (event.key === "[" ? -0.01 : 0.01)), settle()),
    },
    { group: "Slide", keys: ["t"], say: "Next hotspot", run: nextHotspot },
    ...commonKeys(),
  ]);
  for (const button of document.querySelectorAll("[data-verdict]"))
    button.addEventListener("click", () => review.judge(button.dataset.verdict));
  on("context", () => review.card.toggleContext());
  on("undo", takeBack);
  on("tool-add", () => setAdding(!adding));
  on("tool-hotspot", nextHotspot);
  for (const link of document.querySelectorAll("[data-go=hotspot]")) link.addEventListener("click", nextHotspot);
  for (const link of document.querySelectorAll("[data-go=all]"))
    link.addEventListener("click", () => {
      review.order.value = "score";
      review.filter.value = "all";
      review.list();
      at("gallery").focus();
    });
  document.addEventListener("keydown", (event) => event.key === "Escape" && setAdding(false));

  store.observe(() => {
    review.update();
    numbers.recount();
    sayHpf();
  });
  const columns = unpack(await loading);
  await stage.opened;
  store.load(columns);
  overlay.draw();
  performance.mark("all candidates are drawn");
  slider.disabled = false;
  setTimeout(() => store.prepare());
  await review.start();
  setScore(store.minScore);
  document.body.dataset.candidates = columns.n;

  function commonKeys() {
    return [
      {
        group: "Slide",
        keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"],
        say: "Move",
        run: ({ key }) =>
          stage.panBy(...{ ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2], ArrowDown: [0, 0.2] }[key]),
      },
      {
        group: "Slide",
        keys: ["+", "=", "-"],
        say: "Closer, farther",
        run: ({ key }) => stage.zoomBy(key === "-" ? 1 / 1.5 : 1.5),
      },
      { group: "Slide", keys: ["0"], say: "Whole slide", run: () => stage.home() },
      {
        group: "Slide",
        keys: Object.keys(FIELDS),
        say: "5×, 10×, 20×, 40×",
        run: ({ key }) => (stage.scale = config.mpp ? FIELDS[key] : FIELDS[key] * 4),
      },
      {
        group: "Slide",
        keys: ["r", "Shift+r"],
        say: "Turn right, left",
        run: ({ shiftKey }) => stage.rotateBy(shiftKey ? -15 : 15),
      },
      { group: "Slide", keys: ["f"], say: "Full screen", run: fullScreen },
      { group: "Slide", keys: ["b"], say: "Brightness and contrast", run: light },
      { group: "Slide", keys: ["l"], say: "Copy a link to this place", run: copyLink },
      { group: "Overlays", keys: ["o"], say: "Hide or show all", run: hide },
      { group: "Overlays", keys: ["d"], say: "Points always, or a heatmap where there are many", run: points },
      { group: "Overlays", keys: ["h"], say: "Outline of a field (HPF)", run: () => showHpf(!scene.hpf) },
      {
        group: "Overlays",
        keys: ["Shift+ArrowLeft", "Shift+ArrowRight", "Shift+ArrowUp", "Shift+ArrowDown"],
        say: "Move the outline",
        run: ({ key }) =>
          hpf.moveBy(...{ ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[key]),
      },
      { group: "Regions", keys: ["p"], say: "Draw a tumour region", run: () => tool.start("tumour") },
      { group: "Regions", keys: ["x"], say: "Draw an exclusion", run: () => tool.start("exclusion") },
      {
        group: "Regions",
        keys: [" "],
        say: "Set a corner in the middle of the view",
        run: () => tool.cornerInTheMiddle(),
      },
      { group: "Regions", keys: ["Enter"], say: "Close the region", run: () => tool.finish() },
      { group: "Regions", keys: ["Backspace"], say: "Take the last corner back", run: () => tool.backspace() },
      { group: "Regions", keys: ["Delete"], say: "Remove the chosen region", run: () => tool.remove() },
      { group: "Regions", keys: ["Escape"], say: "Give up", run: () => tool.cancel() },
      { group: "Page", keys: ["\\"], say: "Hide or show the panel", run: () => at("work").classList.toggle("wide") },
      { group: "Page", keys: ["?"], say: "This sheet", run: () => at("help").showModal() },
    ];
  }

  function bind(bindings) {
    listen(bindings);
    describe(bindings, at("help-keys"));
    on("tool-help", () => at("help").showModal());
    on("tool-left", () => stage.rotateBy(-15));
    on("tool-right", () => stage.rotateBy(15));
    on("tool-in", () => stage.zoomBy(1.5));
    on("tool-out", () => stage.zoomBy(1 / 1.5));
    on("tool-home", () => stage.home());
    on("tool-full", fullScreen);
    on("tool-light", light);
    on("tool-link", copyLink);
    on("tool-hide", hide);
    on("tool-points", points);
    on("tool-hpf", () => showHpf(!scene.hpf));
    for (const id of ["brightness", "contrast"])
      at(id).addEventListener("input", () =>
        stage.setLight(Number(at("brightness").value), Number(at("contrast").value)),
      );
    on("light-reset", () => {
      at("brightness").value = at("contrast").value = 1;
      stage.setLight(1, 1);
    });
  }

  function on(id, run) {
    at(id)?.addEventListener("click", (event) => {
      event.currentTarget.blur(); // the keys belong to the page again
      run();
    });
  }

  function fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else
      at("work")
        .requestFullscreen()
        .catch(() => say("This browser does not allow full screen.", "warn"));
  }

  function light() {
    at("light-box").hidden = !at("light-box").hidden;
    at("tool-light").setAttribute("aria-expanded", String(!at("light-box").hidden));
  }

  function hide() {
    scene.hidden = !scene.hidden;
    at("tool-hide").setAttribute("aria-pressed", String(scene.hidden));
    overlay.update();
  }

  function points() {
    scene.points = !scene.points;
    at("tool-points").setAttribute("aria-pressed", String(scene.points));
    overlay.update();
  }

  async function copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      say("The link to this place is copied.");
    } catch {
      say("The address of this page is the link to this place; copy it from the address bar.", "warn");
    }
  }
}

async function ask() {
  try {
    await api.detect(config.slide);
    watchJob();
  } catch (error) {
    complain(error.message);
  }
}

function watchJob() {
  followJob(config.slide, {
    ended: (job) => {
      if (job.state === "succeeded") location.reload();
      else if (job.state === "failed") complain(job.error);
      at("ask").hidden = config.state !== "ready";
    },
    failed: complain,
  });
}

at("detect").addEventListener("click", ask);
at("again")?.addEventListener("click", ask);
at("mpp-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  try {
    await api.call(form.dataset.url, { method: "POST", body: { mpp: Number(form.mpp.value.replace(",", ".")) } });
    location.reload();
  } catch (error) {
    complain(error.message);
  }
});
