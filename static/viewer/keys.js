// Every key of the slide page, in one table: what is pressed, what it does, and what the `?` sheet says.

/** @typedef {{keys: string[], say: string, group: string, run: (event: KeyboardEvent) => any}} Binding  run: false where there was nothing to do, so that the browser may */

const NAMES = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  "Shift+ArrowLeft": "Shift ←",
  "Shift+ArrowRight": "Shift →",
  "Shift+ArrowUp": "Shift ↑",
  "Shift+ArrowDown": "Shift ↓",
  "Shift+r": "Shift R",
  Escape: "Esc",
  Enter: "Enter",
  " ": "Space",
  Backspace: "Backspace",
  Delete: "Delete",
};

/** The name of what was pressed: letters small, Shift said only where it changes no sign. */
export function nameOf(event) {
  const letter = event.key.length === 1;
  const shift = event.shiftKey && (!letter || /[a-z]/i.test(event.key));
  return (shift ? "Shift+" : "") + (letter ? event.key.toLowerCase() : event.key);
}

/** Run the binding of a key; keys that are meant for a field, or with Ctrl, Alt or Meta, are left alone. */
export function listen(bindings) {
  const byKey = new Map(bindings.flatMap((binding) => binding.keys.map((key) => [key, binding])));
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target.matches("input:not([type=range]):not([type=checkbox]), select, textarea")) return;
    const name = nameOf(event);
    if (target.matches("input[type=range], [role=tab], [role=tablist] *") && /^(Arrow|Home|End|Page)/.test(event.key))
      return;
    if (target.matches("button, a, summary") && (name === "Enter" || name === " ")) return;
    const binding = byKey.get(name);
    if (binding && binding.run(event) !== false) event.preventDefault();
  });
}

/** Fill the sheet with what the keys do. @param {Binding[]} bindings @param {HTMLElement} element */
export function describe(bindings, element) {
  const groups = new Map();
  for (const binding of bindings) groups.set(binding.group, [...(groups.get(binding.group) ?? []), binding]);
  for (const [group, members] of groups) {
    const section = document.createElement("section");
    section.append(Object.assign(document.createElement("h3"), { textContent: group }));
    const list = document.createElement("dl");
    for (const { keys, say } of members) {
      const term = document.createElement("dt");
      term.append(
        ...keys
          .slice(0, 4)
          .map((key) => Object.assign(document.createElement("kbd"), { textContent: NAMES[key] ?? key.toUpperCase() })),
      );
      list.append(term, Object.assign(document.createElement("dd"), { textContent: say }));
    }
    section.append(list);
    element.append(section);
  }
}
