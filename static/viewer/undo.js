// What can be taken back, the newest first.

/** @typedef {{say: string, back: () => Promise<void> | void, id?: string}} Step */

export class Undo {
  /** @type {Step[]} */
  #steps = [];

  /** @param {Step} step */
  push(step) {
    this.#steps.push(step);
  }

  /** Forget a step that did not come to be. @param {string} id */
  drop(id) {
    this.#steps = this.#steps.filter((step) => step.id !== id);
  }

  get next() {
    return this.#steps.at(-1)?.say ?? "";
  }

  /** Take the newest step back; what it was, or "" where there is none. A step that fails stays to be tried again. */
  async back() {
    const step = this.#steps.pop();
    if (!step) return "";
    try {
      await step.back();
    } catch (error) {
      this.#steps.push(step);
      throw error;
    }
    return step.say;
  }
}
