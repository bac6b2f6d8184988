// Passkeys: a form with data-passkey asks there what the browser is to make or to show, and is sent with its answer.

import { csrfToken } from "../viewer/api.js";
import { at, find, sentenceOf } from "../viewer/dom.js";

/** @param {string} address @returns {Promise<any>} */
async function asked(address) {
  const answer = await fetch(address, { method: "POST", headers: { "X-CSRFToken": csrfToken() } });
  if (!answer.ok) throw new Error((await answer.text()) || "The server did not answer. Try again.");
  return answer.json();
}

/** The browser's answer as JSON. @param {any} options */
async function passkey(options) {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
    throw new Error("This browser has no passkeys; use a newer one, or a code.");
  }
  const made = "rp" in options;
  const found = made
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  return JSON.stringify(/** @type {PublicKeyCredential} */ (found).toJSON());
}

document.addEventListener("submit", async (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const { passkey: address } = form.dataset;
  if (!address) return;
  event.preventDefault();
  const problem = at("problem");
  problem.hidden = true;
  try {
    find(form, "[name=answer]", HTMLInputElement).value = await passkey(await asked(address));
    form.submit();
  } catch (error) {
    const refused = error instanceof DOMException;
    problem.textContent = refused ? "The passkey was not used: it was declined, or none is here." : sentenceOf(error);
    problem.hidden = false;
  }
});
