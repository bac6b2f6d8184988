// Forms and buttons that call the API: data-call is the address, data-ask a question first, data-then what follows.

import { ApiError, call, csrfToken } from "../viewer/api.js";
import { around, at, findAll, sentenceOf } from "../viewer/dom.js";
import { duration } from "../viewer/duration.js";
import { some } from "../viewer/words.js";

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Field */
/** @typedef {{slides: number, tissue_mm2: number, seconds: number | null, rests_on: string}} Estimate */

/**
 * The fields of a form as the API takes them: data-type says list, number, ratio or json; empty ones are left out.
 * @param {HTMLFormElement} form
 */
function body(form) {
  /** @type {Record<string, any>} */
  const out = {};
  for (const field of /** @type {Iterable<Field>} */ (form.elements)) {
    if (!field.name || field.name === "csrfmiddlewaretoken") continue;
    if (field instanceof HTMLInputElement && field.type === "radio" && !field.checked) continue;
    const path = field.name.split(".");
    const last = path.pop() ?? "";
    const place = path.reduce((table, key) => (table[key] ??= {}), out);
    const value = valueOf(field);
    if (field.dataset.type === "list") place[last] = [...(place[last] ?? []), ...(value === undefined ? [] : [value])];
    else if (value !== undefined) place[last] = value;
  }
  return out;
}

/** What a field says; undefined: nothing. @param {Field} field */
function valueOf(field) {
  if (field instanceof HTMLInputElement && field.type === "checkbox") {
    if (field.dataset.type !== "list") return field.checked;
    return field.checked ? field.value : undefined;
  }
  const text = field.value.trim();
  if (text === "") return undefined;
  if (field.dataset.type === "number") return Number(text.replace(",", "."));
  if (field.dataset.type === "json") return JSON.parse(text);
  if (field.dataset.type === "ratio") return text.split(":").map(Number);
  return text;
}

/** @param {HTMLFormElement} form with files */
async function upload(form) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  const answer = await fetch(form.dataset.call ?? "", { method: "POST", headers, body: new FormData(form) });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(data.detail ?? `The server answered with status ${answer.status}.`, answer.status);
  return data;
}

/**
 * Call the API and go where data-then says; what went wrong is shown.
 * @param {HTMLElement} element form or button
 * @param {() => Promise<{id?: string} | null>} make the call
 */
async function send(element, make) {
  if (element.dataset.ask && !confirm(element.dataset.ask)) return;
  const buttons = element instanceof HTMLButtonElement ? [element] : findAll(element, "button", HTMLButtonElement);
  const problem = at("problem");
  buttons.forEach((button) => (button.disabled = true));
  problem.hidden = true;
  try {
    const answer = await make();
    if (element.dataset.then) location.assign(element.dataset.then.replace("{id}", answer?.id ?? ""));
    else location.reload();
  } catch (error) {
    problem.textContent = error instanceof SyntaxError ? "The changes to the plan are no JSON." : sentenceOf(error);
    problem.hidden = false;
    problem.scrollIntoView({ block: "nearest" });
  }
  buttons.forEach((button) => (button.disabled = false));
}

/** The cost of a mining. @param {Estimate} estimate */
function inWords({ slides, tissue_mm2: mm2, seconds, rests_on: reason }) {
  const time = seconds === null ? "time not known" : `about ${duration(seconds)}`;
  return `${some(slides, "slide")}, ${mm2.toFixed(1)} mm² of tissue, ${time} (from ${reason})`;
}

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const { call: address = form.dataset.call, estimate } = event.submitter?.dataset ?? {};
  if (!address) return;
  event.preventDefault();
  const make = async () => call(address, { method: "POST", body: body(form) });
  if (form.enctype === "multipart/form-data") send(form, () => upload(form));
  else if (estimate === undefined) send(form, make);
  else {
    const line = at(estimate);
    make().then(
      (answer) => (line.textContent = inWords(answer)),
      (error) => (line.textContent = sentenceOf(error)),
    );
  }
});

document.addEventListener("click", (event) => {
  const button = around(event, "button[data-call]", HTMLButtonElement);
  if (!button || button.form) return;
  const { call: address = "", method = "POST", body: given } = button.dataset;
  send(button, () => call(address, { method, body: given ? JSON.parse(given) : {} }));
});
