// What the page says: in passing, or until it is mended.

import { at } from "./dom.js";

/** @typedef {(words: string, kind?: "" | "warn") => void} Say */

const SECONDS = { "": 4, warn: 12 };

/** @type {ReturnType<typeof setTimeout> | undefined} */
let fading;

/** In passing. @type {Say} */
export function say(words, kind = "") {
  const toast = at("toast");
  toast.textContent = words;
  toast.dataset.kind = kind;
  clearTimeout(fading);
  fading = setTimeout(() => (toast.textContent = ""), 1000 * SECONDS[kind]);
}

/** To stay. @param {string} message */
export function complain(message) {
  at("problem").textContent = message;
  at("problem").hidden = false;
}
