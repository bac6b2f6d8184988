// Uploads by tus: many at once, each on its own, with progress, speed, time left, pause and retry. A file is remembered
// by its fingerprint: after a closed tab or a restarted server it goes on where it was when it is chosen again.

import { csrfToken } from "../viewer/api.js";
import { at, findAll, maybeAt } from "../viewer/dom.js";
import { refreshRows } from "./refresh.js";
import { dropped, slideSets } from "./slide-sets.js";
import { bytes, Row } from "./upload-row.js";
import { zipped } from "./zip.js";

/** @import { DetailedError, Upload } from "tus-js-client" */
/** @import { Entry, SlideSet } from "./slide-sets.js" */

const CHUNK = 16 * 1024 * 1024; // bytes of one request: what a broken connection costs at most
const AT_ONCE = 3;
const LOST = "The connection was lost and did not come back. What has arrived is kept; try again.";
const NO_ROOM = 507; // status: the disk of the server is full
const RETRIES = [0, 1000, 3000, 5000, 10000, ...Array(200).fill(20000)]; // ms: over an hour, anew after progress

/** @type {{slide: SlideSet, row: Row, fields: Record<string, string>}[]} */
const waiting = [];
let sending = 0;

/** Take files that are chosen or dropped. @param {HTMLElement} place */
function start(place) {
  for (const input of findAll(place, "input[type=file]", HTMLInputElement)) {
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      add(
        files.map((file) => ({ path: file.webkitRelativePath || file.name, file })),
        !input.webkitdirectory,
      );
      input.value = "";
    });
  }
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", async (event) => {
    event.preventDefault();
    place.classList.remove("over");
    if (event.dataTransfer) add(await dropped(event.dataTransfer.items));
  });
  addEventListener("beforeunload", (event) => {
    if (sending) event.preventDefault();
  });
  showUnfinished().catch(() => {});
}

/**
 * Queue what was given.
 * @param {Entry[]} found
 * @param {boolean} all also files that do not look like slides; the server says what is wrong with them
 */
function add(found, all = found.every(({ path }) => !path.includes("/"))) {
  const { slides, others } = slideSets(found);
  const taken = new Set(slides.flatMap(({ entries }) => entries));
  const rest = all ? found.filter((entry) => !taken.has(entry)) : [];
  for (const slide of [...slides, ...rest.map((entry) => ({ name: entry.file.name, entries: [entry] }))]) queue(slide);
  if (others && !all) {
    const row = new Row("Left out");
    row.plain();
    row.say(others === 1 ? "1 file that is no slide." : `${others} files that are no slides.`);
    row.buttons({ Dismiss: () => row.remove() });
  }
}

const form = () => at("upload-form", HTMLFormElement);

/** @param {SlideSet} slide */
function queue(slide) {
  const row = new Row(slide.name);
  const given = new FormData(form());
  const fields = Object.fromEntries(["study", "case", "mpp"].map((name) => [name, String(given.get(name) ?? "")]));
  waiting.push({ slide, row, fields: { ...fields, detect: String(given.has("detect")) } });
  row.say("Waiting for its turn.");
  const cancel = () => {
    const place = waiting.findIndex((one) => one.row === row);
    if (place < 0) return;
    waiting.splice(place, 1);
    row.remove();
  };
  row.buttons({ Cancel: cancel });
  next();
}

function next() {
  while (sending < AT_ONCE) {
    const one = waiting.shift();
    if (!one) return;
    sending += 1;
    send(one.slide, one.row, one.fields).finally(sent);
  }
}

function sent() {
  sending -= 1;
  next();
}

/**
 * Send one slide; settles when it has arrived, is given up, paused or has failed.
 * @param {SlideSet} slide
 * @param {Row} row
 * @param {Record<string, string>} fields
 */
async function send({ entries, name }, row, fields) {
  const total = entries.reduce((sum, { file }) => sum + file.size, 0);
  row.buttons({});
  const body =
    entries.length === 1 ? entries[0].file : await zipped(entries, (read) => row.progress(read, total, "Read"));
  const upload = new tus.Upload(body, {
    endpoint: form().dataset.url,
    chunkSize: CHUNK,
    retryDelays: RETRIES,
    removeFingerprintOnSuccess: true,
    fingerprint: async () => ["mitoscope", name, body.size, ...entries.map(({ file }) => file.lastModified)].join("-"),
    metadata: { filename: name, ...fields },
    headers: { "X-CSRFToken": csrfToken() },
  });
  const [before] = await upload.findPreviousUploads();
  if (before) {
    upload.resumeFromPreviousUpload(before);
    maybeAt(`unfinished-${before.uploadUrl?.split("/").at(-2)}`)?.remove();
  }
  await attempt(upload, row, body.size);
}

/** @param {Upload} upload @param {Row} row @param {number} size @returns {Promise<void>} */
function attempt(upload, row, size) {
  return new Promise((settle) => {
    const again = () => {
      sending += 1;
      attempt(upload, row, size).finally(sent);
    };
    const gone = () => {
      row.remove();
      settle();
    };
    const cancel = () => upload.abort(true).then(gone, gone);
    const pause = () => {
      upload.abort();
      row.say("Paused; it goes on where it is.");
      row.buttons({ "Go on": again, Cancel: cancel });
      settle();
    };
    const offer = () => row.buttons({ Pause: pause, Cancel: cancel });
    row.began();
    Object.assign(upload.options, {
      onProgress: (/** @type {number} */ done, /** @type {number} */ total) => row.progress(done, total),
      onSuccess: () => {
        row.done(`${bytes(size)} arrived; the slide is being prepared.`);
        refreshRows().catch(() => {});
        settle();
      },
      onError: (/** @type {Error | DetailedError} */ error) => {
        row.fail(sentence(error, LOST));
        row.buttons({ "Try again": again, Remove: cancel });
        settle();
      },
      // Not earlier: an upload that is given up while it is being created would stay on the server.
      onUploadUrlAvailable: offer,
      onShouldRetry: (/** @type {DetailedError} */ error) => {
        const status = error.originalResponse?.getStatus() ?? 0;
        row.say(sentence(error, "The connection was lost; trying again."));
        offer();
        if (status === NO_ROOM) return false; // until somebody has made some
        return status === 0 || status === 409 || status === 423 || status >= 500;
      },
    });
    upload.start();
  });
}

/** What was begun earlier, here or on another computer, and waits for its file to be chosen again. */
async function showUnfinished() {
  const url = form().dataset.url ?? "";
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  for (const { id, name, offset, size } of await answer.json()) {
    const row = new Row(name, `unfinished-${id}`);
    row.progress(offset, size);
    row.say(
      `${bytes(offset)} of ${bytes(size)} arrived before it broke off. Choose the file again to go on from there.`,
    );
    const headers = { "X-CSRFToken": csrfToken(), "Tus-Resumable": "1.0.0" };
    row.buttons({ Discard: () => fetch(`${url}${id}/`, { method: "DELETE", headers }).then(() => row.remove()) });
  }
}

/**
 * What went wrong, in the server's words where it has said it.
 * @param {Error | DetailedError} error
 * @param {string} otherwise
 */
function sentence(error, otherwise) {
  try {
    return JSON.parse("originalResponse" in error ? (error.originalResponse?.getBody() ?? "") : "").detail;
  } catch {
    return otherwise;
  }
}

// Last, as what it uses must be there.
const drop = maybeAt("drop");
if (drop) start(drop);
