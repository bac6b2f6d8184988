// What a person has chosen for the eyes, kept in the browser for the next slide.

/**
 * What is kept under a name; `otherwise` where nothing is, or the browser keeps nothing.
 * @template T
 * @param {string} person
 * @param {string} name
 * @param {T} otherwise
 * @returns {T}
 */
export function kept(person, name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`mitoscope ${name} ${person}`) ?? "null") ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} person @param {string} name @param {unknown} value */
export function keep(person, name, value) {
  try {
    localStorage.setItem(`mitoscope ${name} ${person}`, JSON.stringify(value));
  } catch {
    // full or forbidden: it holds for this page
  }
}
