// The queue between a reader's keys and the server: a verdict is kept in the browser until the server has it.
//
// 1. `give` keeps the verdict in storage and shows it at once.
// 2. Verdicts are sent one by one, in the order in which they were given; each has an id of its own, so that one whose
//    answer was lost can be sent again and counts once.
// 3. No answer: it stays, the page says so, and it is sent again after a pause. A conflict: it is dropped, and what
//    holds now is shown. Refused: it is dropped, and the reason is shown.

const PAUSES = [1000, 2000, 5000, 10000]; // ms between tries

/** @typedef {{verdict: string, label: string, x: number, y: number, expected: number, local: string}} Entry */

export class VerdictQueue {
  #entries;
  #send;
  #storage;
  #name;
  #on;
  #sending = false;
  #tries = 0;
  #timer = null;

  /**
   * @param {object} parts
   * @param {(entry: Entry) => Promise<import("./store.js").Figure>} parts.send throws an error with `status`; 0: no answer
   * @param {Storage} parts.storage
   * @param {string} parts.name under which the queue is kept: of one person and one slide
   * @param {{kept: Function, lost: Function, conflict: Function, refused: Function, state: Function}} parts.on
   */
  constructor({ send, storage, name, on }) {
    this.#send = send;
    this.#storage = storage;
    this.#name = name;
    this.#on = on;
    try {
      this.#entries = JSON.parse(storage.getItem(name) ?? "[]");
    } catch {
      this.#entries = [];
    }
  }

  /** @returns {readonly Entry[]} what the server does not have yet */
  get waiting() {
    return this.#entries;
  }

  /** @param {Entry} entry */
  give(entry) {
    this.#entries.push(entry);
    this.#save();
    this.flush();
  }

  /** Whether a later verdict on the same figure waits. */
  waits(local) {
    return this.#entries.some((entry) => entry.local === local);
  }

  /** Try no more; what waits stays in storage. */
  stop() {
    clearTimeout(this.#timer);
  }

  /** Send what waits, now. */
  async flush() {
    clearTimeout(this.#timer);
    if (this.#sending) return;
    this.#sending = true;
    while (this.#entries.length) {
      const entry = this.#entries[0];
      try {
        const figure = await this.#send(entry);
        this.#take(entry);
        this.#on.kept(entry, figure);
      } catch (error) {
        if (error.status === 409 || error.status === 400) {
          // What was given on top of it was given on something that did not come to be.
          for (const lost of this.#entries.filter((one) => one.local === entry.local)) {
            this.#take(lost);
            this.#on.lost(lost);
          }
          this.#on[error.status === 409 ? "conflict" : "refused"](entry, error);
          continue;
        }
        const pause = PAUSES[Math.min(this.#tries++, PAUSES.length - 1)];
        this.#timer = setTimeout(() => this.flush(), pause);
        this.#sending = false;
        this.#on.state({ waiting: this.#entries.length, error });
        return;
      }
      this.#tries = 0;
    }
    this.#sending = false;
    this.#on.state({ waiting: 0, error: null });
  }

  #take(entry) {
    this.#entries = this.#entries.filter((one) => one.verdict !== entry.verdict);
    this.#save();
  }

  #save() {
    this.#storage.setItem(this.#name, JSON.stringify(this.#entries));
    this.#on.state({ waiting: this.#entries.length, error: null });
  }
}
