// Findings out to other programs, as they are counted on the page, and verdicts and regions back in.

import * as api from "./api.js";
import { find, findAll, sentenceOf } from "./dom.js";
import { some, whole } from "./words.js";

/** @import { Imported } from "./api.js" */

/**
 * @param {HTMLElement} panel with links to exports and a file to be chosen
 * @param {string} slide
 * @param {{asked: () => URLSearchParams, taken: () => Promise<void>}} page asked: how it counts; taken: after an import
 */
export function startFiles(panel, slide, { asked, taken }) {
  const said = find(panel, "[role=status]");
  for (const link of findAll(panel, "a[data-format]", HTMLAnchorElement)) {
    link.addEventListener("click", () => (link.href = api.exportUrl(slide, link.dataset.format ?? "", asked())));
  }
  /** @param {string} text */
  const tell = (text) => {
    said.textContent = text;
    said.scrollIntoView({ block: "nearest" }); // on a small screen it stands below what is in sight
  };
  const chooser = find(panel, "[type=file]", HTMLInputElement);
  chooser.addEventListener("change", async () => {
    const file = chooser.files?.[0];
    if (!file) return;
    tell("Importing …");
    try {
      const imported = await imports(slide, file);
      await taken();
      tell(imported ? inWords(imported) : "Nothing was imported.");
    } catch (error) {
      tell(sentenceOf(error));
    }
    chooser.value = ""; // so that the same file can be chosen again
  });
}

/**
 * A file that names another slide is imported where the person says that the picture is the same; null where not.
 * @param {string} slide @param {File} file @returns {Promise<Imported | null>}
 */
async function imports(slide, file) {
  try {
    return await api.importFile(slide, file);
  } catch (error) {
    if (!(error instanceof api.ApiError) || error.status !== 409) throw error;
    if (!confirm(`${error.message}\n\nImport it all the same?`)) return null;
    return await api.importFile(slide, file, true);
  }
}

/** What an import has done. @param {Imported} imported */
function inWords({ verdicts, regions, unchanged, left, cut, unknown, without_place }) {
  const parts = [`${some(verdicts, "verdict")} and ${some(regions, "region")} imported`];
  if (unchanged) parts.push(`${whole(unchanged)} already there`);
  if (left.length) parts.push(`${whole(left.length)} not imported, because a person's verdict differs there`);
  if (cut) parts.push(`${some(cut, "region")} cut at the edge of the slide`);
  const others = Object.entries(unknown).map(([name, many]) => `${whole(many)} ${name || "without a class"}`);
  if (others.length) parts.push(`left out, as their class means nothing here: ${others.join(", ")}`);
  if (without_place) parts.push(`${whole(without_place)} left out, as the file does not say where they are`);
  return `${parts.join("; ")}.`;
}
