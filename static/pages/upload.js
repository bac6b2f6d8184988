// Uploads by tus: each file on its own, with progress, speed and time left; one that fails does not stop the others.

import { refreshRows } from "./refresh.js";

const CHUNK = 16 * 1024 * 1024; // bytes of one request: what a broken connection costs at most

const drop = document.getElementById("drop");
const form = document.getElementById("upload-form");
const list = document.getElementById("uploads");

if (drop) {
  const input = document.getElementById("files");
  input.addEventListener("change", () => {
    for (const file of input.files) start(file);
    input.value = "";
  });
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    for (const file of event.dataTransfer.files) start(file);
  });
}

function start(file) {
  const row = document.createElement("li");
  row.innerHTML = `<strong></strong><progress max="1" value="0"></progress><button type="button" class="quiet">Cancel</button><span class="say"></span>`;
  const [name, bar, button, say] = row.children;
  name.textContent = file.name;
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  list.append(row);
  const began = performance.now();
  const upload = new tus.Upload(file, {
    endpoint: form.dataset.url,
    chunkSize: CHUNK,
    retryDelays: [0, 1000, 3000, 5000, 10000],
    storeFingerprintForResuming: false,
    metadata: {
      filename: file.name,
      study: form.study.value,
      case: form.case.value,
      mpp: form.mpp.value,
      detect: String(form.detect.checked),
    },
    headers: { "X-CSRFToken": form.csrfmiddlewaretoken.value },
    onShouldRetry: (error) => !(error.originalResponse && error.originalResponse.getStatus() < 500 && error.originalResponse.getStatus() !== 423),
    onProgress: (sent, total) => {
      bar.value = sent / total;
      const rate = sent / ((performance.now() - began) / 1000);
      say.textContent = `${size(sent)} of ${size(total)}, ${size(rate)}/s, about ${Math.ceil((total - sent) / rate)} s left`;
    },
    onSuccess: () => {
      button.remove();
      say.textContent = `${size(file.size)} arrived; the slide is being prepared.`;
      refreshRows().catch(() => {});
      setTimeout(() => row.remove(), 8000);
    },
    onError: (error) => {
      row.classList.add("failed");
      say.textContent = sentence(error);
      button.textContent = "Remove";
      button.onclick = () => row.remove();
    },
  });
  button.onclick = () => upload.abort(true).finally(() => row.remove());
  upload.start();
}

function sentence(error) {
  try {
    return JSON.parse(error.originalResponse.getBody()).detail;
  } catch {
    return "The connection was lost and did not come back. Nothing else is affected; choose the file again.";
  }
}

function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 3);
  return `${(bytes / 1000 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}
