// Every call to the server, and every address, in one place.

const root = new URL("/api/v1/", location.origin);

/** The server's sentence about what went wrong, or ours where it did not answer. body: the whole answer. */
export class ApiError extends Error {
  constructor(message, status, body = {}) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/**
 * @param {string} path below /api/v1/ or absolute
 * @param {{method?: string, body?: object | Blob, type?: string, tag?: string}} [options] type: of a Blob; tag: what is known already (If-None-Match)
 * @returns {Promise<any>} the JSON answer, null where nothing has changed since `tag`; throws ApiError
 */
export async function call(path, options = {}) {
  const answer = await ask(path, options);
  if (answer.status === 304 || answer.status === 204) return null;
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(sentence(data, answer.status), answer.status, data);
  return data;
}

async function ask(path, { method = "GET", body, type = "application/json", tag } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = type;
  if (tag) headers["If-None-Match"] = tag;
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  try {
    return await fetch(new URL(path, root), {
      method,
      headers,
      body: body instanceof Blob ? body : body && JSON.stringify(body),
    });
  } catch {
    throw new ApiError("The server does not answer. Nothing is lost; try again in a moment.", 0);
  }
}

export const csrfToken = () => document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";

/** All candidates of a run, packed; see columns.js. @returns {Promise<ArrayBuffer>} */
export async function candidates(slide, run) {
  const answer = await ask(`slides/${slide}/candidates/?run=${run}`);
  if (!answer.ok) throw new ApiError(sentence(await answer.json().catch(() => ({})), answer.status), answer.status);
  return answer.arrayBuffer();
}

/** @param {URLSearchParams} asked the run, and how to count */
export const count = (slide, asked) => call(`slides/${slide}/mitosis-count/?${asked}`);
export const exportUrl = (slide, format, asked) =>
  new URL(`slides/${slide}/export/?format=${format}&${asked}`, root).href;
export const importFile = (slide, file) =>
  call(`slides/${slide}/import/`, {
    method: "POST",
    body: file,
    type: /\.csv$/i.test(file.name) ? "text/csv" : "application/geo+json",
  });
export const figures = (slide, run, version) =>
  call(`slides/${slide}/figures/?run=${run}`, { tag: version === null ? undefined : `"${run}-${version}"` });
export const history = (slide, figure) => call(`slides/${slide}/figures/${figure}/`);
export const judge = (slide, run, { label, x, y, expected, verdict }) =>
  call(`slides/${slide}/figures/?run=${run}`, { method: "POST", body: { label, x, y, expected, verdict } });
export const regions = (slide) => call(`slides/${slide}/regions/`);
export const drawRegion = (slide, region) => call(`slides/${slide}/regions/`, { method: "POST", body: region });
export const removeRegion = (slide, region) => call(`slides/${slide}/regions/${region}/`, { method: "DELETE" });
export const compare = (slide, run, other, score) =>
  call(`slides/${slide}/compare/?run=${run}&other=${other}&min_score=${score}`);
export const openJobs = (slide) => call(`jobs/?slide=${slide}&limit=5`);
export const cancel = (job) => call(`jobs/${job}/cancel/`, { method: "POST" });
export const detect = (slide) => call(`slides/${slide}/detections/`, { method: "POST", body: {} });
export const cropUrl = (slide, x, y, size = 128) =>
  new URL(`slides/${slide}/crop.jpeg?x=${x.toFixed(1)}&y=${y.toFixed(1)}&size=${size}`, root).href;

function sentence(data, status) {
  const fields = Object.values(data.errors ?? {})
    .flat()
    .filter((text) => typeof text === "string");
  return fields[0] ?? data.detail ?? `The server answered with status ${status}.`;
}
