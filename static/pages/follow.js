// A page that shows what a job makes: shown again while the job runs, and loaded anew when it has ended.

import { findAll } from "../viewer/dom.js";

const PAUSE = 3000; // ms

/** Whether somebody is filling in a form of the page, which must not go from under their hands. @param {Element} page */
function inUse(page) {
  const fields = findAll(page, "input:not([type=hidden]), textarea", HTMLElement);
  const choices = findAll(page, "option", HTMLOptionElement);
  return (
    page.contains(document.activeElement) ||
    choices.some((one) => one.selected !== one.defaultSelected && one.index > 0) ||
    fields.some((one) => {
      if (one instanceof HTMLTextAreaElement) return one.value !== one.defaultValue;
      return one instanceof HTMLInputElement && (one.value !== one.defaultValue || one.checked !== one.defaultChecked);
    })
  );
}

/** The same page as it is now; null where it cannot be had. */
async function pageNow() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return null;
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  return /** @type {HTMLElement | null} */ (parsed.querySelector("[data-follow]"));
}

async function watch() {
  const page = /** @type {HTMLElement | null} */ (document.querySelector("[data-follow=yes]"));
  if (!page) return;
  if (!document.hidden && !inUse(page)) {
    const now = await pageNow().catch(() => null);
    if (now && !inUse(page)) {
      if (now.dataset.follow !== "yes") return location.reload(); // with what its scripts draw
      if (now.textContent !== page.textContent) page.replaceChildren(...now.childNodes);
    }
  }
  setTimeout(watch, PAUSE);
}

setTimeout(watch, PAUSE);
