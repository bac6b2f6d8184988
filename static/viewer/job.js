// The detection of this slide: asked for, followed, cancelled.

import * as api from "./api.js";
import { at, maybeAt, sentenceOf } from "./dom.js";
import { duration } from "./duration.js";

/** @import { Job } from "./api.js" */
/** @import { Config } from "./config.js" */

const PAUSE = 1000; // ms between two looks
const PAUSE_AWAY = 3000; // after a look that failed

/**
 * Follow what is under way, and let a detection be asked for.
 * @param {Config} config
 * @param {(message: string) => void} complain
 */
export function startJobs(config, complain) {
  const follow = () => {
    followJob(config.slide, complain, (job) => {
      if (job.state === "succeeded") location.reload();
      else if (job.state === "failed") complain(job.error);
      at("ask").hidden = config.state !== "ready";
    });
  };
  const ask = () => api.detect(config.slide).then(follow, (error) => complain(sentenceOf(error)));
  for (const id of ["detect", "again"]) maybeAt(id)?.addEventListener("click", ask);
  follow();
}

/**
 * Look at the newest detection of a slide until it has ended.
 * @param {string} slide
 * @param {(message: string) => void} complain
 * @param {(job: Job) => void} ended
 */
async function followJob(slide, complain, ended) {
  /** @type {Job | null} */
  let seen = null;
  at("job-cancel").onclick = () => seen && api.cancel(seen.id).catch((error) => complain(sentenceOf(error)));
  for (;;) {
    const job = await newest(slide);
    if (job === "away") {
      await pause(PAUSE_AWAY);
      continue;
    }
    const open = job?.state === "pending" || job?.state === "running";
    at("job").hidden = !open;
    if (!job || !open) {
      if (seen && job?.id === seen.id) ended(job);
      return;
    }
    at("ask").hidden = true;
    seen = job;
    show(job);
    await pause(PAUSE);
  }
}

/** @param {string} slide */
async function newest(slide) {
  try {
    const { results } = await api.openJobs(slide);
    return results.find((one) => one.kind === "detect") ?? results[0];
  } catch (error) {
    at("job-left").textContent = sentenceOf(error);
    return "away";
  }
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {Job} job */
function show(job) {
  const { done, total } = job.progress;
  const bar = at("job-bar", HTMLProgressElement);
  if (total) {
    bar.max = total;
    bar.value = done;
  } else bar.removeAttribute("value");
  at("job-text").textContent = inWords(job);
  at("job-left").textContent = job.seconds_left === null ? "" : `about ${duration(job.seconds_left)} left`;
  at("job-workers").textContent = job.workers.join("; ");
}

/** @param {Job} job */
function inWords({ kind, state, queue_position: position, progress }) {
  const what = kind === "detect" ? "Finding mitoses" : "Preparing the slide";
  if (state === "pending") return `${what}: number ${position} in the queue`;
  const { done, total, skipped, shards_done: partsDone, shards_total: parts } = progress;
  if (!total) return `${what} …`;
  const split = parts > 1 ? `, ${partsDone} of ${parts} parts` : "";
  return `${what}: ${done} of ${total} windows, ${skipped} skipped as glass${split}`;
}
