// Tabs as in the ARIA patterns: one stop for Tab, arrows go from one to the next.

import { around, at, findAll } from "./dom.js";

/** @param {HTMLElement} list with role=tablist, whose tabs name their panels by aria-controls */
export function startTabs(list) {
  const tabs = findAll(list, "[role=tab]");
  /** @param {HTMLElement} chosen */
  const choose = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      at(tab.getAttribute("aria-controls") ?? "").hidden = tab !== chosen;
    }
  };
  list.addEventListener("click", (event) => {
    const tab = around(event, "[role=tab]");
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const step = Number(event.key === "ArrowRight") - Number(event.key === "ArrowLeft");
    const from = tabs.findIndex((tab) => tab === document.activeElement);
    if (!step || from < 0) return;
    event.preventDefault();
    const to = tabs[(from + step + tabs.length) % tabs.length];
    choose(to);
    to.focus();
  });
}
