// A training as it comes: progress, curves, log.

import { call } from "../viewer/api.js";
import { at, make } from "../viewer/dom.js";
import { duration } from "../viewer/duration.js";
import { plot } from "./plots.js";

/** @import { Job } from "../viewer/api.js" */
/** @import { Line, Point } from "./plots.js" */

/** @typedef {"loss" | "max_f1" | "f1_at_0.5" | "learning_rate" | "bg_hard"} Measure */
/** @typedef {{iteration: number} & Partial<Record<Measure, number>>} Row */
/** @typedef {{job: Job, curve: Row[], log: {at: string, said: string}[], version: string | null}} Training */

const PAUSE = 2000; // ms
const STATES = { pending: "waiting", running: "running", succeeded: "done", failed: "failed", cancelled: "stopped" };
const NO_ID = "00000000-0000-0000-0000-000000000000"; // where the page's addresses have the version

/** @param {Training} training */
function show({ job, curve, log, version }) {
  draw(curve);
  const { state } = job;
  at("state").textContent = STATES[state];
  at("state").className = `tag ${state === "succeeded" ? "good" : state === "failed" ? "bad" : ""}`;
  at("say").textContent = inWords(job);
  const bar = at("bar", HTMLProgressElement);
  bar.max = job.progress.total || 1;
  bar.value = job.progress.done;
  at("stop").hidden = state !== "pending" && state !== "running";
  at("go-on").hidden = state !== "failed" && state !== "cancelled";
  at("log").replaceChildren(...log.map((entry) => make("li", {}, `${entry.at.slice(11, 19)}  ${entry.said}`)));
  const link = at("version", HTMLAnchorElement);
  link.hidden = !version;
  if (version) link.href = (link.dataset.address ?? "").replace(NO_ID, version);
}

/** @param {Row[]} curve */
function draw(curve) {
  /** @param {string} name @param {Measure} key @returns {Line} */
  const line = (name, key) => {
    const points = curve.flatMap(({ iteration, [key]: value }) => {
      return value === undefined ? [] : [/** @type {Point} */ ([iteration, value])];
    });
    return { name, points };
  };
  const x = "iteration";
  const f1 = [line("max F1", "max_f1"), line("F1 at 0.5", "f1_at_0.5")];
  plot(at("loss"), [line("loss", "loss")], { x, y: "loss", log: true });
  plot(at("f1"), f1, { x, y: "F1 on the validation cases", yRange: [0, 1] });
  plot(at("rate"), [line("learning rate", "learning_rate")], { x, y: "learning rate", log: true });
  plot(at("hard"), [line("hard negatives", "bg_hard")], { x, y: "hard negatives" });
}

/** @param {Job} job */
function inWords({ error, progress: { done, total }, state, queue_position: position, seconds_left: left }) {
  const waiting = state === "pending" ? `number ${position} in the queue` : "";
  const how = error || (total ? `${done} of ${total} iterations` : waiting);
  return left === null ? how : `${how}, about ${duration(left)} left`;
}

async function watch() {
  /** @type {Training | null} */
  let training = null;
  if (!document.hidden) training = await call(at("training").dataset.address ?? "").catch(() => null);
  if (training) show(training);
  if (!training || ["pending", "running"].includes(training.job.state)) setTimeout(watch, PAUSE);
}

watch();
