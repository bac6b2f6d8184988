// Who is to read a slide, said by a choice in its row.

import { call } from "../viewer/api.js";
import { around, at, findAll, maybeAt, sentenceOf } from "../viewer/dom.js";

const CHOICE = "select[data-assign]";

document.addEventListener("change", async (event) => {
  const choice = around(event, CHOICE, HTMLSelectElement);
  if (!choice) return;
  const said = at("assigned");
  choice.disabled = true;
  try {
    const body = { reader: choice.value || null };
    const { name, reader } = await call(choice.dataset.assign ?? "", { method: "POST", body });
    choice.dataset.was = choice.value;
    said.textContent = reader ? `${name} is assigned to ${reader}.` : `${name} has no reader now.`;
  } catch (error) {
    choice.value = choice.dataset.was ?? "";
    said.textContent = `${sentenceOf(error)} Nothing was changed.`;
  }
  choice.disabled = false;
});

const all = maybeAt("all-readers", HTMLSelectElement);
all?.addEventListener("change", () => {
  for (const choice of findAll(document, CHOICE, HTMLSelectElement)) {
    if (choice.value === all.value) continue;
    choice.value = all.value;
    choice.dispatchEvent(new Event("change", { bubbles: true }));
  }
});
