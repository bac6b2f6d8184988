// Forms and buttons that call the API: data-call is the address, data-ask a question first, data-then what follows.

import { ApiError, call, csrfToken } from "../viewer/api.js";
import { duration } from "../viewer/duration.js";

const problem = document.getElementById("problem");

/** The fields of a form as the API takes them: data-type says list, number, flag or json; empty ones are left out. */
function body(form) {
  const out = {};
  for (const field of form.elements) {
    if (!field.name || field.name === "csrfmiddlewaretoken" || (field.type === "radio" && !field.checked)) continue;
    const path = field.name.split(".");
    const last = path.pop();
    const place = path.reduce((table, key) => (table[key] ??= {}), out);
    const value = valueOf(field);
    if (field.dataset.type === "list") place[last] = [...(place[last] ?? []), ...(value === undefined ? [] : [value])];
    else if (value !== undefined) place[last] = value;
  }
  return out;
}

function valueOf(field) {
  if (field.type === "checkbox" && field.dataset.type === "list") return field.checked ? field.value : undefined;
  if (field.type === "checkbox") return field.checked;
  const text = field.value.trim();
  if (text === "") return undefined;
  if (field.dataset.type === "number") return Number(text.replace(",", "."));
  if (field.dataset.type === "json") return JSON.parse(text);
  if (field.dataset.type === "ratio") return text.split(":").map(Number);
  return text;
}

async function upload(form) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  const answer = await fetch(form.dataset.call, { method: "POST", headers, body: new FormData(form) });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(data.detail ?? `The server answered with status ${answer.status}.`, answer.status);
  return data;
}

async function send(element, make) {
  if (element.dataset.ask && !confirm(element.dataset.ask)) return;
  const buttons = element.matches("button") ? [element] : element.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  problem.hidden = true;
  try {
    const answer = await make();
    if (element.dataset.then) location.assign(element.dataset.then.replace("{id}", answer?.id ?? ""));
    else location.reload();
  } catch (error) {
    problem.textContent = error instanceof SyntaxError ? "The changes to the plan are no JSON." : error.message;
    problem.hidden = false;
    problem.scrollIntoView({ block: "nearest" });
  }
  buttons.forEach((button) => (button.disabled = false));
}

/** The cost of a mining. */
function inWords({ slides, tissue_mm2: mm2, seconds, rests_on: reason }) {
  const time = seconds === null ? "time not known" : `about ${duration(seconds)}`;
  return `${slides} slides, ${mm2.toFixed(1)} mm² of tissue, ${time} (from ${reason})`;
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const address = event.submitter?.dataset.call ?? form.dataset.call;
  if (!address) return;
  event.preventDefault();
  if (form.enctype === "multipart/form-data") send(form, () => upload(form));
  else if (event.submitter?.dataset.estimate !== undefined) {
    const line = document.getElementById(event.submitter.dataset.estimate);
    call(address, { method: "POST", body: body(form) }).then(
      (answer) => (line.textContent = inWords(answer)),
      (error) => (line.textContent = error.message),
    );
  } else send(form, () => call(address, { method: "POST", body: body(form) }));
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-call]");
  if (!button || button.form) return;
  const given = button.dataset.body ? JSON.parse(button.dataset.body) : {};
  send(button, () => call(button.dataset.call, { method: button.dataset.method ?? "POST", body: given }));
});
