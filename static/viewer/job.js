// The job that is under way on this slide: progress, time left, cancel.

import * as api from "./api.js";
import { duration } from "./duration.js";

const PAUSE = 1000; // ms between two looks

/**
 * Look at the newest detection of a slide until it has ended.
 * @param {string} slide
 * @param {{ended: (job: object) => void, failed: (message: string) => void}} callbacks
 */
export async function followJob(slide, { ended, failed }) {
  const block = document.getElementById("job");
  const ask = document.getElementById("ask");
  let seen = null;
  document.getElementById("job-cancel").onclick = () =>
    seen && api.cancel(seen.id).catch((error) => failed(error.message));
  for (;;) {
    let job;
    try {
      const { results } = await api.openJobs(slide);
      job = results.find((one) => one.kind === "detect") ?? results[0];
    } catch (error) {
      document.getElementById("job-left").textContent = error.message;
      await new Promise((resolve) => setTimeout(resolve, 3 * PAUSE));
      continue;
    }
    const open = job && (job.state === "pending" || job.state === "running");
    block.hidden = !open;
    if (open) ask.hidden = true;
    if (!open) {
      if (seen && job && job.id === seen.id) ended(job);
      return;
    }
    seen = job;
    show(job);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

function show(job) {
  const { done, total, skipped, shards_done: partsDone, shards_total: parts } = job.progress;
  const what = job.kind === "detect" ? "Finding mitoses" : "Preparing the slide";
  const bar = document.getElementById("job-bar");
  if (total) {
    bar.max = total;
    bar.value = done;
  } else {
    bar.removeAttribute("value");
  }
  document.getElementById("job-text").textContent =
    job.state === "pending"
      ? `${what}: number ${job.queue_position} in the queue`
      : total
        ? `${what}: ${done} of ${total} windows, ${skipped} skipped as glass${parts > 1 ? `, ${partsDone} of ${parts} parts` : ""}`
        : `${what} …`;
  document.getElementById("job-left").textContent =
    job.seconds_left === null ? "" : `about ${duration(job.seconds_left)} left`;
  document.getElementById("job-workers").textContent = job.workers.join("; ");
}
