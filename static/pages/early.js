// What is pressed, sent or chosen while the modules are still on their way is kept, and done as soon as they are there.
// No module: the page waits for these lines, so that nothing comes before them.

(() => {
  const OURS = { submit: "[data-call], [data-passkey]", click: "[data-call]", change: "[data-assign], [type=file]" };
  /** @type {SubmitEvent[]} */
  const held = [];

  /** @param {Event} event */
  function hold(event) {
    const { target, type } = event;
    const found = target instanceof Element && target.closest(OURS[/** @type {keyof OURS} */ (type)]);
    if (!found || (type === "click" && !(found instanceof HTMLButtonElement && !found.form))) return;
    event.preventDefault();
    if (held.some((one) => one.target === target && one.type === type)) return; // pressed twice
    held.push(/** @type {SubmitEvent} */ (event));
  }

  for (const type of Object.keys(OURS)) document.addEventListener(type, hold);
  document.addEventListener("DOMContentLoaded", () => {
    for (const type of Object.keys(OURS)) document.removeEventListener(type, hold);
    for (const { type, target, submitter } of held) {
      if (target instanceof HTMLFormElement) target.requestSubmit(submitter);
      else if (type === "click" && target instanceof HTMLElement) target.click();
      else target?.dispatchEvent(new Event(type, { bubbles: true }));
    }
  });
})();
