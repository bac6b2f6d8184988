// Verdicts, counts and times as people say them.

/** @typedef {"mitotic" | "non_mitotic" | "unsure"} Verdict */
/** @typedef {Verdict | ""} Label  "": nobody has judged it, or the verdict was taken back */

/** @type {Record<Label, string>} */
const LABELS = { "": "not judged", mitotic: "mitotic figure", non_mitotic: "not a mitotic figure", unsure: "unsure" };

/** What a figure is: "not a mitotic figure". @param {Label} label */
export const labelled = (label) => LABELS[label];

/** What a reader has just said: "Not a mitotic figure". @param {Label} label */
export const said = (label) => (label === "" ? "Taken back" : LABELS[label][0].toUpperCase() + LABELS[label].slice(1));

/** A count with its thousands marked. @param {number} count */
export const whole = (count) => count.toLocaleString("en");

/** "1 verdict", "2 verdicts". @param {number} count @param {string} one */
export const some = (count, one) => `${whole(count)} ${one}${count === 1 ? "" : "s"}`;
