// Uploads by tus: many at once, each on its own, with progress, speed, time left, pause and retry. A file is remembered by
// its fingerprint: after a closed tab or a restarted server it goes on where it was when it is chosen again.

import { duration } from "../viewer/duration.js";
import { refreshRows } from "./refresh.js";
import { dropped, slideSets } from "./slide-sets.js";
import { zipped } from "./zip.js";

const CHUNK = 16 * 1024 * 1024; // bytes of one request: what a broken connection costs at most
const AT_ONCE = 3;
const RETRIES = [0, 1000, 3000, 5000, 10000, ...Array(200).fill(20000)]; // ms: over an hour, counted anew after progress
const RATE_OVER = 10000; // ms over which the speed is averaged

const drop = document.getElementById("drop");
const form = document.getElementById("upload-form");
const list = document.getElementById("uploads");
const said = document.getElementById("upload-said");
const waiting = [];
let sending = 0;

if (drop) {
  for (const input of drop.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      add([...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })), !input.webkitdirectory);
      input.value = "";
    });
  }
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    add(await dropped(event.dataTransfer.items));
  });
  addEventListener("beforeunload", (event) => {
    if (sending) event.preventDefault();
  });
  showUnfinished().catch(() => {});
}

/** Queue what was given. all: also files that do not look like slides; the server says what is wrong with them. */
function add(found, all = found.every(({ path }) => !path.includes("/"))) {
  const { slides, others } = slideSets(found);
  const taken = new Set(slides.flatMap(({ entries }) => entries));
  const rest = all ? found.filter((entry) => !taken.has(entry)) : [];
  for (const slide of [...slides, ...rest.map((entry) => ({ name: entry.file.name, entries: [entry] }))]) queue(slide);
  if (others && !all) {
    const row = new Row("Left out");
    row.bar.remove();
    row.say(others === 1 ? "1 file that is no slide." : `${others} files that are no slides.`);
    row.buttons({ Dismiss: () => row.remove() });
  }
}

function queue(slide) {
  const row = new Row(slide.name);
  const fields = { study: form.study.value, case: form.case.value, mpp: form.mpp.value, detect: String(form.detect.checked) };
  waiting.push({ slide, row, fields });
  row.say("Waiting for its turn.");
  row.buttons({ Cancel: () => waiting.splice(waiting.findIndex((one) => one.row === row), 1) && row.remove() });
  next();
}

function next() {
  while (sending < AT_ONCE && waiting.length) {
    sending += 1;
    send(waiting.shift()).finally(sent);
  }
}

function sent() {
  sending -= 1;
  next();
}

/** Send one slide; settles when it has arrived, is given up, paused or has failed. */
async function send({ slide, row, fields }) {
  const { entries, name } = slide;
  const total = entries.reduce((sum, { file }) => sum + file.size, 0);
  row.buttons({});
  const body = entries.length === 1 ? entries[0].file : await zipped(entries, (read) => row.progress(read, total, "Read"));
  const upload = new tus.Upload(body, {
    endpoint: form.dataset.url,
    chunkSize: CHUNK,
    retryDelays: RETRIES,
    removeFingerprintOnSuccess: true,
    fingerprint: async () => ["mitoscope", name, body.size, ...entries.map(({ file }) => file.lastModified)].join("-"),
    metadata: { filename: name, ...fields },
    headers: { "X-CSRFToken": form.csrfmiddlewaretoken.value },
  });
  const [before] = await upload.findPreviousUploads();
  if (before) {
    upload.resumeFromPreviousUpload(before);
    document.getElementById(`unfinished-${before.uploadUrl.split("/").at(-2)}`)?.remove();
  }
  await attempt(upload, row, body.size);
}

function attempt(upload, row, size) {
  return new Promise((settle) => {
    const again = () => {
      sending += 1;
      attempt(upload, row, size).finally(sent);
    };
    const cancel = () => upload.abort(true).catch(() => {}).finally(() => (row.remove(), settle()));
    row.began();
    upload.options.onProgress = (sent, total) => row.progress(sent, total);
    upload.options.onSuccess = () => {
      row.done(`${bytes(size)} arrived; the slide is being prepared.`);
      refreshRows().catch(() => {});
      settle();
    };
    upload.options.onError = (error) => {
      row.fail(sentence(error));
      row.buttons({ "Try again": again, Remove: cancel });
      settle();
    };
    const offer = () =>
      row.buttons({
        Pause: () => {
          upload.abort();
          row.say("Paused; it goes on where it is.");
          row.buttons({ "Go on": again, Cancel: cancel });
          settle();
        },
        Cancel: cancel,
      });
    // Not earlier: an upload that is given up while it is being created would stay on the server.
    upload.options.onUploadUrlAvailable = offer;
    upload.options.onShouldRetry = (error) => {
      const status = error.originalResponse?.getStatus() ?? 0;
      row.say("The connection was lost; trying again.");
      offer();
      return status === 0 || status === 409 || status === 423 || status >= 500;
    };
    upload.start();
  });
}

/** What was begun earlier, here or on another computer, and waits for its file to be chosen again. */
async function showUnfinished() {
  const answer = await fetch(form.dataset.url, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  for (const { id, name, offset, size } of await answer.json()) {
    const row = new Row(name, `unfinished-${id}`);
    row.progress(offset, size);
    row.say(`${bytes(offset)} of ${bytes(size)} arrived before it broke off. Choose the file again to go on from there.`);
    const headers = { "X-CSRFToken": form.csrfmiddlewaretoken.value, "Tus-Resumable": "1.0.0" };
    row.buttons({ Discard: () => fetch(`${form.dataset.url}${id}/`, { method: "DELETE", headers }).then(() => row.remove()) });
  }
}

/** One line of the list of uploads. */
class Row {
  constructor(name, id = "") {
    this.element = document.createElement("li");
    if (id) this.element.id = id;
    this.element.innerHTML = `<strong></strong><progress max="1" value="0"></progress><span class="inline"></span><span class="say"></span>`;
    [this.name, this.bar, this.actions, this.text] = this.element.children;
    this.name.textContent = name;
    this.bar.setAttribute("aria-label", `Upload of ${name}`);
    list.append(this.element);
    this.began();
  }

  began() {
    this.samples = [];
    this.element.classList.remove("failed");
  }

  buttons(actions) {
    this.actions.replaceChildren(
      ...Object.entries(actions).map(([text, action]) => {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "quiet";
        button.textContent = text;
        button.setAttribute("aria-label", `${text}: ${this.name.textContent}`);
        button.addEventListener("click", action);
        return button;
      }),
    );
  }

  progress(sent, total, verb = "") {
    const now = performance.now();
    this.samples = [...this.samples.filter(({ at }) => now - at < RATE_OVER), { at: now, sent }];
    this.bar.value = sent / total;
    const [{ at, sent: before }] = this.samples;
    const rate = now - at > 500 ? (sent - before) / ((now - at) / 1000) : 0;
    const left = rate > 0 ? `, ${bytes(rate)}/s, about ${duration((total - sent) / rate)} left` : "";
    this.say(`${verb} ${bytes(sent)} of ${bytes(total)}${left}`.trim());
  }

  say(text) {
    this.text.textContent = text;
  }

  done(text) {
    this.bar.value = 1;
    this.say(text);
    this.buttons({});
    said.textContent = `${this.name.textContent}: ${text}`;
    setTimeout(() => this.remove(), 8000);
  }

  fail(text) {
    this.element.classList.add("failed");
    this.say(text);
    said.textContent = `${this.name.textContent}: ${text}`;
  }

  remove() {
    this.element.remove();
  }
}

function sentence(error) {
  try {
    return JSON.parse(error.originalResponse.getBody()).detail;
  } catch {
    return "The connection was lost and did not come back. What has arrived is kept; try again.";
  }
}

function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB"];
  const step = Math.min(Math.floor(Math.log10(Math.max(count, 1)) / 3), 3);
  return `${(count / 1000 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}
