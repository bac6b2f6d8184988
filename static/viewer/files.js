// Findings out to other programs, as they are counted on the page, and verdicts and regions back in.

import * as api from "./api.js";

const some = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

/**
 * @param {HTMLElement} panel with links to exports and a file to be chosen
 * @param {string} slide
 * @param {{asked: () => URLSearchParams, taken: () => Promise<void>}} page asked: how it counts; taken: after an import
 */
export function startFiles(panel, slide, { asked, taken }) {
  const said = panel.querySelector("[role=status]");
  for (const link of panel.querySelectorAll("a[data-format]")) {
    link.addEventListener("click", () => (link.href = api.exportUrl(slide, link.dataset.format, asked())));
  }
  panel.querySelector("[type=file]").addEventListener("change", async (event) => {
    const chooser = event.currentTarget;
    const [file] = chooser.files;
    if (!file) return;
    said.textContent = "Taking in …";
    try {
      const { verdicts, regions, unchanged, left } = await api.importFile(slide, file);
      await taken();
      const more = [
        unchanged && `${unchanged.toLocaleString("en")} held already`,
        left.length && `${left.length.toLocaleString("en")} left as they are, because a person says otherwise there`,
      ].filter(Boolean);
      said.textContent = `${some(verdicts, "verdict")} and ${some(regions, "region")} taken in${more.map((part) => `; ${part}`).join("")}.`;
    } catch (error) {
      said.textContent = error.message;
    }
    chooser.value = ""; // so that the same file can be chosen again
  });
}
