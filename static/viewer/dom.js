// Elements of the page, found by id or selector and known by their kind.

/**
 * The element with this id; the page must have it.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [Kind]
 * @returns {T}
 */
export function at(id, Kind) {
  const element = maybeAt(id, Kind);
  if (!element) throw new Error(`The page has no #${id}.`);
  return element;
}

/**
 * The element with this id, null where the page has none.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [Kind]
 * @returns {T | null}
 */
export function maybeAt(id, Kind) {
  return /** @type {T | null} */ (ofKind(document.getElementById(id), Kind ?? HTMLElement));
}

/**
 * The first element below `place` that a selector means; it must be there.
 * @template {Element} [T=HTMLElement]
 * @param {ParentNode} place
 * @param {string} selector
 * @param {new () => T} [Kind]
 * @returns {T}
 */
export function find(place, selector, Kind) {
  const element = /** @type {T | null} */ (ofKind(place.querySelector(selector), Kind ?? HTMLElement));
  if (!element) throw new Error(`The page has no ${selector}.`);
  return element;
}

/**
 * All elements below `place` that a selector means.
 * @template {Element} [T=HTMLElement]
 * @param {ParentNode} place
 * @param {string} selector
 * @param {new () => T} [Kind]
 * @returns {T[]}
 */
export function findAll(place, selector, Kind) {
  return /** @type {T[]} */ (Array.from(place.querySelectorAll(selector), (one) => ofKind(one, Kind ?? HTMLElement)));
}

/**
 * What a selector means at or around the place of an event, null for nothing.
 * @template {Element} [T=HTMLElement]
 * @param {Event} event
 * @param {string} selector
 * @param {new () => T} [Kind]
 * @returns {T | null}
 */
export function around(event, selector, Kind) {
  const element = event.target instanceof Element ? event.target.closest(selector) : null;
  return /** @type {T | null} */ (ofKind(element, Kind ?? HTMLElement));
}

/**
 * A new element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/**
 * Run at each click on a button, where the page has it; the keys then belong to the page again.
 * @param {string} id
 * @param {() => unknown} run
 */
export function onClick(id, run) {
  const button = maybeAt(id);
  button?.addEventListener("click", () => {
    button.blur();
    run();
  });
}

/** What went wrong, as a sentence. @param {unknown} error */
export const sentenceOf = (error) => (error instanceof Error ? error.message : String(error));

/** @param {Element | null} element @param {new () => Element} Kind */
function ofKind(element, Kind) {
  if (element === null || element instanceof Kind) return element;
  throw new TypeError(`${element} is no ${Kind.name}.`);
}
