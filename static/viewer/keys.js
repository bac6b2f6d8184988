// From a key to its shortcut, and the sheet that says what there is.

import { make } from "./dom.js";

/** @import { Shortcut } from "./shortcuts.js" */

/** @type {Record<string, string>} */
const SIGNS = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  Escape: "Esc",
  Enter: "Enter",
  " ": "Space",
  Backspace: "Backspace",
  Delete: "Delete",
};

/**
 * The name of what was pressed: letters small, Shift said only where it changes no sign.
 * @param {Pick<KeyboardEvent, "key" | "shiftKey">} event
 */
export function nameOf({ key, shiftKey }) {
  const letter = key.length === 1;
  const shift = shiftKey && (!letter || /[a-z]/i.test(key));
  return (shift ? "Shift+" : "") + (letter ? key.toLowerCase() : key);
}

/** A key's name as it is printed on a keyboard. @param {string} name */
export function signOf(name) {
  const shift = name.startsWith("Shift+") ? "Shift " : "";
  const key = name.slice(shift.length);
  return shift + (SIGNS[key] ?? key.toUpperCase());
}

/**
 * Run the shortcut of each key; what is meant for a field, or pressed with Ctrl, Alt or Meta, is left alone.
 * @param {Shortcut[]} shortcuts
 */
export function listen(shortcuts) {
  const byKey = new Map(shortcuts.flatMap((shortcut) => shortcut.keys.map((key) => [key, shortcut])));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const name = nameOf(event);
    if (event.target instanceof Element && meantFor(event.target, name)) return;
    const shortcut = byKey.get(name);
    if (shortcut && event.repeat && shortcut.once) return event.preventDefault();
    if (shortcut && shortcut.run(name) !== false) event.preventDefault();
  });
}

/** Whether an element has a use of its own for a key. @param {Element} element @param {string} name */
function meantFor(element, name) {
  if (element.matches("input:not([type=range]):not([type=checkbox]), select, textarea")) return true;
  const moves = /^(Shift\+)?(Arrow|Home|End|Page)/.test(name);
  if (moves && element.matches("input[type=range], [role=tab], [role=tablist] *")) return true;
  return (name === "Enter" || name === " ") && element.matches("button, a, summary");
}

/** Fill the sheet with what the keys do. @param {Shortcut[]} shortcuts @param {HTMLElement} element */
export function describe(shortcuts, element) {
  const groups = new Set(shortcuts.map(({ group }) => group));
  for (const group of groups) {
    const list = make("dl");
    for (const { keys, say } of shortcuts.filter((shortcut) => shortcut.group === group)) {
      const signs = keys.slice(0, 4).map((name) => make("kbd", {}, signOf(name)));
      list.append(make("dt", {}, ...signs), make("dd", {}, say));
    }
    element.append(make("section", {}, make("h3", {}, group), list));
  }
}
