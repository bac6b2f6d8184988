// Buttons that call the API for one job.

import { call } from "../viewer/api.js";
import { around, at, sentenceOf } from "../viewer/dom.js";
import { refreshRows } from "./refresh.js";

const problem = at("problem");

at("rows").addEventListener("click", async (event) => {
  const button = around(event, "button[data-call]", HTMLButtonElement);
  if (!button || (button.dataset.ask && !confirm(button.dataset.ask))) return;
  button.disabled = true;
  problem.hidden = true;
  try {
    await call(button.dataset.call ?? "", { method: "POST" });
  } catch (error) {
    problem.textContent = sentenceOf(error);
    problem.hidden = false;
  }
  button.blur();
  await refreshRows().catch(() => {});
});
