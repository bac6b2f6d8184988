// A training as it comes: progress, curves, log.

import { call } from "../viewer/api.js";
import { duration } from "../viewer/duration.js";
import { plot } from "./plots.js";

const page = document.getElementById("training");
const PAUSE = 2000; // ms
const STATES = { pending: "waiting", running: "running", succeeded: "done", failed: "failed", cancelled: "stopped" };
const element = (id) => document.getElementById(id);

function show(training) {
  const line = (name, key) => ({ name, points: training.curve.filter((row) => row[key] !== undefined).map((row) => [row.iteration, row[key]]) });
  const x = "iteration";
  plot(element("loss"), [line("loss", "loss")], { x, y: "loss", log: true });
  plot(element("f1"), [line("max F1", "max_f1"), line("F1 at 0.5", "f1_at_0.5")], { x, y: "F1 on the validation cases", yRange: [0, 1] });
  plot(element("rate"), [line("learning rate", "learning_rate")], { x, y: "learning rate", log: true });
  plot(element("hard"), [line("hard negatives", "bg_hard")], { x, y: "hard negatives" });
  const { job } = training;
  element("state").textContent = STATES[job.state];
  element("state").className = `tag ${job.state === "succeeded" ? "good" : job.state === "failed" ? "bad" : ""}`;
  element("say").textContent = job.error || (job.progress.total ? `${job.progress.done} of ${job.progress.total} iterations` : job.state === "pending" ? `number ${job.queue_position} in the queue` : "");
  if (job.seconds_left !== null) element("say").textContent += `, about ${duration(job.seconds_left)} left`;
  const bar = element("bar");
  bar.max = job.progress.total || 1;
  bar.value = job.progress.done;
  element("stop").hidden = !["pending", "running"].includes(job.state);
  element("go-on").hidden = !["failed", "cancelled"].includes(job.state);
  element("log").replaceChildren(...training.log.map((entry) => {
    const row = document.createElement("li");
    row.textContent = `${entry.at.slice(11, 19)}  ${entry.said}`;
    return row;
  }));
  const version = element("version");
  version.hidden = !training.version;
  if (training.version) version.href = version.dataset.address.replace("00000000-0000-0000-0000-000000000000", training.version);
}

async function watch() {
  let training = null;
  if (!document.hidden) training = await call(page.dataset.address).catch(() => null);
  if (training) show(training);
  if (!training || ["pending", "running"].includes(training.job.state)) setTimeout(watch, PAUSE);
}

watch();
