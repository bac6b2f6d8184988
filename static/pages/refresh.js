// Fetch the rows of a list again while something in it is under way.

const PAUSE = 2000; // ms
const rows = document.getElementById("rows");

/** Fetch the rows now; what has the focus keeps it. */
export async function refreshRows() {
  const answer = await fetch(rows.dataset.refresh, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const html = await answer.text();
  if (rows.dataset.last === html || rows.contains(document.activeElement)) return;
  rows.dataset.last = html;
  rows.innerHTML = html;
}

async function watch() {
  const busy = rows.firstElementChild?.dataset.busy === "yes";
  if (busy && !document.hidden) await refreshRows().catch(() => {});
  setTimeout(watch, PAUSE);
}

if (rows) watch();
