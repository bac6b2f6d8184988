// Wires the parts of the slide page together, nothing else.

import * as api from "./api.js";
import { unpack } from "./columns.js";
import { hasRun, readConfig } from "./config.js";
import { at, maybeAt, sentenceOf } from "./dom.js";
import { startJobs } from "./job.js";
import { describe, listen } from "./keys.js";
import { Numbers } from "./numbers.js";
import { Overlay } from "./overlay.js";
import { startReading } from "./reading.js";
import { RegionPanel } from "./region_panel.js";
import { showPosition, showScaleBar } from "./scalebar.js";
import { emptyScene } from "./scene.js";
import { shortcuts } from "./shortcuts.js";
import { Stage } from "./stage.js";
import { Store } from "./store.js";
import { startTabs } from "./tabs.js";
import { complain, say } from "./toast.js";
import { FieldTool } from "./tools/field.js";
import { RulerTool } from "./tools/ruler.js";
import { Undo } from "./undo.js";
import { View } from "./view.js";

const config = readConfig();
const failed = (/** @type {unknown} */ error) => complain(sentenceOf(error));

if (maybeAt("viewer")) open().catch(failed);
startJobs(config, complain);

async function open() {
  const store = new Store(config.defaultScore, Flatbush);
  const stage = new Stage(at("viewer"), config, complain);
  const scene = emptyScene();
  const undo = new Undo();
  const overlay = new Overlay(stage, at("overlay", HTMLCanvasElement), store, scene, note);
  const changed = () => overlay.update();
  showScaleBar(stage, at("scalebar"));
  const pointer = showPosition(stage, at("position"));
  startTabs(at("tabs"));

  const numbers = hasRun(config) ? new Numbers(config, store, scene) : null;
  const counted = () => numbers?.update();
  const regions = new RegionPanel({ config, stage, store, scene, undo, say, changed, counted });
  const field = new FieldTool({ stage, store, scene, changed, say });
  const ruler = new RulerTool({ stage, scene, changed, say });
  const view = new View(stage, scene, changed, say, config.person);
  const looking = { stage, view, field, ruler, region: regions.tool, regions };
  stage.tools.push(regions.tool, ruler, field);

  const loading = hasRun(config) ? api.candidates(config.slide, config.run) : null;
  await regions.load();
  if (!numbers || !loading || !hasRun(config)) return bind(shortcuts(looking, null, config));

  const parts = { config, store, stage, scene, overlay, undo, numbers, regions, pointer, say };
  const reading = startReading(parts);
  bind(shortcuts(looking, reading, config));
  const columns = unpack(await loading);
  await stage.opened;
  await reading.begin(columns);
}

/** @param {import("./shortcuts.js").Shortcut[]} keys */
function bind(keys) {
  listen(keys);
  describe(keys, at("help-keys"));
}

/** What the overlay shows and what not. @param {string} words */
function note(words) {
  if (at("view-note").textContent !== words) at("view-note").textContent = words;
}
