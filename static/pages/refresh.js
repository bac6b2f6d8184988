// Fetch the rows of a list again while something in it is under way.

import { maybeAt } from "../viewer/dom.js";

const PAUSE = 2000; // ms
const rows = maybeAt("rows");

/** Fetch the rows now; what has the focus keeps it. */
export async function refreshRows() {
  if (!rows) return;
  const answer = await fetch(rows.dataset.refresh ?? "", { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const html = await answer.text();
  if (rows.dataset.last === html || rows.contains(document.activeElement)) return;
  rows.dataset.last = html;
  rows.innerHTML = html;
}

async function watch() {
  const busy = rows?.firstElementChild?.getAttribute("data-busy") === "yes";
  if (busy && !document.hidden) await refreshRows().catch(() => {});
  setTimeout(watch, PAUSE);
}

if (rows) watch();
