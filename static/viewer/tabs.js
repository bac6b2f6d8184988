// Tabs as in the ARIA patterns: one stop for Tab, arrows go from one to the next.

/** @param {HTMLElement} list with role=tablist, whose tabs name their panels by aria-controls */
export function startTabs(list) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const choose = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
  };
  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const from = tabs.indexOf(document.activeElement);
    if (!step || from < 0) return;
    event.preventDefault();
    const to = tabs[(from + step + tabs.length) % tabs.length];
    choose(to);
    to.focus();
  });
}
