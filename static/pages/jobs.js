// Buttons that call the API for one job.

import { call } from "../viewer/api.js";
import { refreshRows } from "./refresh.js";

const problem = document.getElementById("problem");

document.getElementById("rows").addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-call]");
  if (!button || (button.dataset.ask && !confirm(button.dataset.ask))) return;
  button.disabled = true;
  problem.hidden = true;
  try {
    await call(button.dataset.call, { method: "POST" });
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
  button.blur();
  await refreshRows().catch(() => {});
});
