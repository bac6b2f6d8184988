// Verdicts, counts and times as people say them.

/** @typedef {"mitotic" | "non_mitotic" | "unsure"} Verdict */
/** @typedef {Verdict | ""} Label  "": nobody has judged it, or the verdict was taken back */

/** @type {Record<Label, string>} */
const LABELS = { "": "not judged", mitotic: "mitotic figure", non_mitotic: "not a mitotic figure", unsure: "unsure" };

/** What a figure is: "not a mitotic figure". @param {Label} label */
export const labelled = (label) => LABELS[label];

/** The same of a figure, whose reader may have said that it is atypical. @param {Label} label @param {boolean | null} [atypical] */
export const figured = (label, atypical) => (atypical ? `atypical ${labelled(label)}` : labelled(label));

/** What a reader has just said: "Not a mitotic figure". @param {Label} label */
export const said = (label) => (label === "" ? "Taken back" : LABELS[label][0].toUpperCase() + LABELS[label].slice(1));

/** A time with its zone, as the pages say it: 2026-11-30 18:44 UTC. @param {string} at ISO 8601 */
export function moment(at) {
  const fields = /** @type {const} */ ({
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  });
  return new Date(at).toLocaleString("sv-SE", { ...fields, timeZoneName: "short" });
}

/** Units as they are printed: what the server says in letters that every program has. @param {string} sentence */
export const printed = (sentence) => sentence.replaceAll("mm2", "mm²").replaceAll("um/px", "µm/px");

/** A count with its thousands marked. @param {number} count */
export const whole = (count) => count.toLocaleString("en");

/** "1 verdict", "2 verdicts". @param {number} count @param {string} one */
export const some = (count, one) => `${whole(count)} ${one}${count === 1 ? "" : "s"}`;
