// Every call to the server, and every address, in one place.

const root = new URL("/api/v1/", location.origin);

/** The server's sentence about what went wrong, or ours where it did not answer. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} path below /api/v1/ or absolute
 * @param {{method?: string, body?: object}} [options]
 * @returns {Promise<any>} the JSON answer; throws ApiError
 */
export async function call(path, { method = "GET", body } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  let answer;
  try {
    answer = await fetch(new URL(path, root), { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new ApiError("The server does not answer. Nothing is lost; try again in a moment.", 0);
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(sentence(data, answer.status), answer.status);
  return data;
}

export const csrfToken = () => document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";

/** All candidates of a run from the storage floor up, page by page. */
export async function* candidatePages(slide, run, floor) {
  const limit = 10000;
  for (let offset = 0; ; offset += limit) {
    const page = await call(`slides/${slide}/detections/?run=${run}&min_score=${floor}&limit=${limit}&offset=${offset}`);
    yield page;
    if (offset + page.results.length >= page.total || page.results.length === 0) return;
  }
}

export const count = (slide, run, score) => call(`slides/${slide}/mitosis-count/?run=${run}&min_score=${score}`);
export const openJobs = (slide) => call(`jobs/?slide=${slide}&limit=5`);
export const cancel = (job) => call(`jobs/${job}/cancel/`, { method: "POST" });
export const detect = (slide) => call(`slides/${slide}/detections/`, { method: "POST", body: {} });
export const cropUrl = (slide, x, y, size = 128) =>
  new URL(`slides/${slide}/crop.jpeg?x=${x.toFixed(1)}&y=${y.toFixed(1)}&size=${size}`, root).href;

function sentence(data, status) {
  const fields = Object.values(data.errors ?? {}).flat().filter((text) => typeof text === "string");
  return fields[0] ?? data.detail ?? `The server answered with status ${status}.`;
}
