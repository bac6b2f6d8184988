// Every call to the server, and every address, in one place.

import { printed } from "./words.js";

/** @import { Figure, Region, Tally } from "./store.js" */
/** @import { Point, RegionKind, Shape } from "./geometry.js" */
/** @import { Run } from "./cells.js" */
/** @import { ScreeningCoverage, ScreeningProgress } from "./screening.js" */
/** @import { Entry } from "./verdicts.js" */

/**
 * @typedef {{interval: [number, number], unseen?: number}} Sure  95 % interval of a count; figures in it not looked at
 * @typedef {{x: number, y: number, reach_mm: number | null, count: number}} Place  reach: null where all is counted
 * @typedef {Sure & Place & {shape: Shape | "fields", area_mm2: number, evaluable_mm2: number, fields?: Place[]}} Hotspot
 * @typedef {{id: string, version: string, cut_offs: [number, number], area_mm2: number, source: string}} Rule
 * @typedef {Sure & {value: number, to_next: number | null, rule: Rule, small_sample?: boolean}} Score  mitotic score, 1..3
 * @typedef {{count: number, count_per_mm2: number | null, hotspots?: Hotspot[], score?: Score | null}} Value
 */
/**
 * @typedef {object} Count  the server's word on a slide
 * @property {Value} ai
 * @property {Value | null} reviewed where people have judged
 * @property {{state: string, judged: number, of: number, left: number | null}} review of the hotspot
 * @property {Omit<Tally, "ai" | "reviewed">} [judged]
 * @property {number | null} tissue_mm2
 * @property {number | null} area_mm2 of the hotspot
 * @property {{name: string}} model
 * @property {string} [reason] why something is not said
 * @property {string[]} [stale]
 */
/**
 * @typedef {"pending" | "running" | "succeeded" | "failed" | "cancelled"} JobState
 * @typedef {{done: number, total: number, skipped: number, shards_done: number, shards_total: number}} Progress
 */
/**
 * @typedef {object} Job
 * @property {string} id
 * @property {string} kind
 * @property {JobState} state
 * @property {number | null} queue_position
 * @property {number | null} seconds_left
 * @property {Progress} progress
 * @property {string[]} workers
 * @property {string} error
 */
/** @typedef {{x: number, y: number, score: number}} Found */
/** @typedef {{both: number, only_run: Found[], only_other: Found[]}} Comparison */
/**
 * What an import has done.
 * @typedef {{verdicts: number, regions: number, unchanged: number, left: unknown[], cut: number,
 *   unknown: Record<string, number>, without_place: number}} Imported
 */
/**
 * @typedef {object} Options
 * @property {string} [method]
 * @property {object | Blob} [body]
 * @property {string} [type] of a Blob
 * @property {string} [tag] what is known already (If-None-Match)
 */

/** Made at the first call: modules that only name addresses can be loaded without a page. */
const root = () => new URL("/api/v1/", location.origin);

/** The server's sentence about what went wrong, or ours where it did not answer. */
export class ApiError extends Error {
  /** @param {string} message @param {number} status 0: no answer @param {any} [body] the whole answer */
  constructor(message, status, body = {}) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/**
 * @param {string} path below /api/v1/ or absolute
 * @param {Options} [options]
 * @returns {Promise<any>} the JSON answer, null where nothing has changed since `tag`; throws ApiError
 */
export async function call(path, options = {}) {
  const answer = await ask(path, options);
  if (answer.status === 304 || answer.status === 204) return null;
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(sentence(data, answer.status), answer.status, data);
  return data;
}

/** @param {string} path @param {Options} [options] */
async function ask(path, { method = "GET", body, type = "application/json", tag } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = type;
  if (tag) headers["If-None-Match"] = tag;
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  try {
    const sent = body instanceof Blob ? body : body && JSON.stringify(body);
    return await fetch(new URL(path, root()), { method, headers, body: sent });
  } catch {
    throw new ApiError("The server does not answer. Nothing is lost; try again in a moment.", 0);
  }
}

export function csrfToken() {
  const field = document.querySelector("[name=csrfmiddlewaretoken]");
  return field instanceof HTMLInputElement ? field.value : "";
}

/** All candidates of a run, packed; see columns.js. @param {string} slide @param {string} run */
export async function candidates(slide, run) {
  const answer = await ask(`slides/${slide}/candidates/?run=${run}`);
  if (!answer.ok) throw new ApiError(sentence(await answer.json().catch(() => ({})), answer.status), answer.status);
  return answer.arrayBuffer();
}

/**
 * @param {string} slide
 * @param {URLSearchParams} asked the run, and how to count
 * @returns {Promise<Count>}
 */
export const count = (slide, asked) => call(`slides/${slide}/mitosis-count/?${asked}`);

/** @param {string} slide @param {string} format @param {URLSearchParams} asked */
export const exportUrl = (slide, format, asked) =>
  new URL(`slides/${slide}/export/?format=${format}&${asked}`, root()).href;

/**
 * @param {string} slide
 * @param {File} file
 * @param {boolean} [samePicture] it names another slide, and a person says that the picture is the same
 * @returns {Promise<Imported>}
 */
export function importFile(slide, file, samePicture = false) {
  const name = file.name.toLowerCase();
  const type = name.endsWith(".csv")
    ? "text/csv"
    : name.endsWith(".dcm")
      ? "application/dicom"
      : "application/geo+json";
  return call(`slides/${slide}/import/?same_picture=${samePicture}`, { method: "POST", body: file, type });
}

/**
 * The figures of a slide; null where nothing has changed since `version`.
 * @param {string} slide
 * @param {string} run
 * @param {number | null} version
 * @returns {Promise<{version: number, results: Figure[]} | null>}
 */
export const figures = (slide, run, version) =>
  call(`slides/${slide}/figures/?run=${run}`, { tag: version === null ? undefined : `"${run}-${version}"` });

/**
 * @param {string} slide
 * @param {string} figure
 * @returns {Promise<{label: Figure["label"], by: string | null, at: string, atypical: boolean | null}[]>}
 */
export const history = (slide, figure) => call(`slides/${slide}/figures/${figure}/`);

/** @param {string} slide @param {string} run @param {Entry} entry @returns {Promise<Figure>} */
export const judge = (slide, run, { label, x, y, expected, verdict, screened, atypical }) => {
  const body = { label, x, y, expected, verdict, screened, atypical };
  return call(`slides/${slide}/figures/?run=${run}`, { method: "POST", body });
};

/** How likely candidates are atypical, by their key. @param {string} slide @param {string} run @returns {Promise<Map<number, number>>} */
export async function atypical(slide, run) {
  const { candidates: keys, probabilities } = await call(`slides/${slide}/atypical/?run=${run}`);
  return new Map(keys.map((/** @type {number} */ key, /** @type {number} */ i) => [key, probabilities[i]]));
}

/** What the reader has seen of a slide. @param {string} slide @param {URLSearchParams} asked @returns {Promise<ScreeningCoverage>} */
export const screening = (slide, asked) => call(`slides/${slide}/screening/?${asked}`);

/**
 * @param {string} slide
 * @param {URLSearchParams} asked
 * @param {Run[]} cells that were seen
 * @param {Point} place level-0 px
 * @returns {Promise<ScreeningProgress>}
 */
export const see = (slide, asked, cells, [x, y]) =>
  call(`slides/${slide}/screening/?${asked}`, { method: "POST", body: { cells, x, y } });

/** Begin the screening of a slide anew. @param {string} slide @returns {Promise<null>} */
export const forgetScreening = (slide) => call(`slides/${slide}/screening/`, { method: "DELETE" });

/** @param {string} slide @returns {Promise<Region[]>} */
export const regions = (slide) => call(`slides/${slide}/regions/`);

/**
 * @param {string} slide
 * @param {{kind: RegionKind, polygon: Point[], replaces?: string}} region
 * @returns {Promise<Region>}
 */
export const drawRegion = (slide, region) => call(`slides/${slide}/regions/`, { method: "POST", body: region });

/** Where the slide has tissue, see tissue.js; null where that was not measured. @param {string} slide */
export async function tissue(slide) {
  const answer = await ask(`slides/${slide}/tissue.png`);
  return answer.status === 200 ? answer.blob() : null;
}

/** @param {string} slide @param {string} region @returns {Promise<null>} */
export const removeRegion = (slide, region) => call(`slides/${slide}/regions/${region}/`, { method: "DELETE" });

/**
 * @param {string} slide
 * @param {string} run
 * @param {string} other
 * @param {number} score
 * @returns {Promise<Comparison>}
 */
export const compare = (slide, run, other, score) =>
  call(`slides/${slide}/compare/?run=${run}&other=${other}&min_score=${score}`);

/** @param {string} slide @returns {Promise<{results: Job[]}>} */
export const openJobs = (slide) => call(`jobs/?slide=${slide}&limit=5`);

/** @param {string} job @returns {Promise<Job>} */
export const cancel = (job) => call(`jobs/${job}/cancel/`, { method: "POST" });

/** @param {string} slide @returns {Promise<Job>} */
export const detect = (slide) => call(`slides/${slide}/detections/`, { method: "POST", body: {} });

/** @param {string} slide @param {number} x @param {number} y @param {number} [size] px of 0.25 um */
export const cropUrl = (slide, x, y, size = 128) =>
  new URL(`slides/${slide}/crop.jpeg?x=${x.toFixed(1)}&y=${y.toFixed(1)}&size=${size}`, root()).href;

/** @param {{errors?: Record<string, unknown>, detail?: string}} data @param {number} status */
function sentence(data, status) {
  const fields = Object.values(data.errors ?? {}).flat();
  const text = fields.find((field) => typeof field === "string");
  const said = /** @type {string | undefined} */ (text) ?? data.detail;
  return said === undefined ? `The server answered with status ${status}.` : printed(said);
}
