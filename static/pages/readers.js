// Who is to read a slide, said by a choice in its row.

import { call } from "../viewer/api.js";

document.addEventListener("change", async (event) => {
  const choice = event.target.closest("select[data-assign]");
  if (!choice) return;
  const said = document.getElementById("assigned");
  choice.disabled = true;
  try {
    const { name, reader } = await call(choice.dataset.assign, {
      method: "POST",
      body: { reader: choice.value || null },
    });
    choice.dataset.was = choice.value;
    said.textContent = reader ? `${reader} is to read ${name}.` : `${name} is nobody's to read now.`;
  } catch (error) {
    choice.value = choice.dataset.was;
    said.textContent = `${error.message} Nothing was changed.`;
  }
  choice.disabled = false;
});

document.getElementById("all-readers")?.addEventListener("change", ({ target }) => {
  for (const choice of document.querySelectorAll("select[data-assign]")) {
    if (choice.value === target.value) continue;
    choice.value = target.value;
    choice.dispatchEvent(new Event("change", { bubbles: true }));
  }
});
