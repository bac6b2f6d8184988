// The queue between a reader's keys and the server: a verdict is kept in the browser until the server has it.
//
// 1. `give` keeps the verdict in storage, each under a name of its own: two tabs on one slide do not overwrite each
//    other.
// 2. Verdicts are sent one by one, in the order in which they were given; each has an id of its own, so that one whose
//    answer was lost can be sent again and counts once.
// 3. No answer: it stays, the page says so, and it is sent again after a pause. A conflict: it is dropped, and what
//    holds now is shown. Refused: it is dropped, and the reason is shown.

const PAUSES = [1000, 2000, 5000, 10000]; // ms between tries

/** @import { Figure } from "./store.js" */
/** @import { Label } from "./words.js" */

/**
 * @typedef {object} Entry  one verdict on its way
 * @property {string} verdict its own id
 * @property {Label} label
 * @property {number} x level-0 px
 * @property {number} y
 * @property {number} expected version of the figure on which it was given
 * @property {string} local id of the figure on this page
 * @property {boolean} [atypical] of a mitotic figure, in a study that tells atypical ones
 * @property {boolean} [screened] whether the slide was screened field by field
 * @property {number} [at] ms, rising
 */
/** @typedef {Error & {status?: number, body?: any}} Failure  status 0 or none: no answer; body: the whole answer */
/**
 * @typedef {object} QueueState
 * @property {number} waiting how many
 * @property {boolean} stored whether a closed tab keeps them
 * @property {Failure | null} error why they wait
 */
/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">} Shelf */
/**
 * @typedef {object} Told  who hears what became of a verdict
 * @property {(entry: Entry, figure: Figure) => void} kept
 * @property {(entry: Entry) => void} lost
 * @property {(entry: Entry, error: Failure) => void} conflict
 * @property {(entry: Entry, error: Failure) => void} refused
 * @property {(state: QueueState) => void} state
 */

export class VerdictQueue {
  /** @type {Entry[]} */
  #entries;
  #send;
  #storage;
  #name;
  #on;
  #sending = false;
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #stored = true;

  /**
   * @param {object} parts
   * @param {(entry: Entry) => Promise<Figure>} parts.send throws a Failure
   * @param {Shelf} parts.storage
   * @param {string} parts.name under which the queue is kept: of one person and one slide
   * @param {Told} parts.on
   */
  constructor({ send, storage, name, on }) {
    this.#send = send;
    this.#storage = storage;
    this.#name = name;
    this.#on = on;
    this.#entries = kept(storage, `${name} `);
  }

  /** @returns {readonly Entry[]} what the server does not have yet */
  get waiting() {
    return this.#entries;
  }

  /** @param {Entry} entry */
  give(entry) {
    const last = this.#entries.at(-1)?.at ?? 0;
    this.#entries.push({ ...entry, at: Math.max(Date.now(), last + 1) });
    try {
      this.#storage.setItem(`${this.#name} ${entry.verdict}`, JSON.stringify(this.#entries.at(-1)));
    } catch {
      this.#stored = false; // full or forbidden: it is sent all the same, and the page says that it must stay open
    }
    this.#tell(null);
    this.flush();
  }

  /** Whether a later verdict on the same figure waits. @param {string} local */
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
      } catch (reason) {
        const error = /** @type {Failure} */ (reason);
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
        this.#tell(error);
        return;
      }
      this.#tries = 0;
    }
    this.#sending = false;
    this.#stored = true;
    this.#tell(null);
  }

  /** @param {Entry} entry */
  #take(entry) {
    this.#entries = this.#entries.filter((one) => one.verdict !== entry.verdict);
    this.#storage.removeItem(`${this.#name} ${entry.verdict}`);
    this.#tell(null);
  }

  /** @param {Failure | null} error */
  #tell(error) {
    this.#on.state({ waiting: this.#entries.length, stored: this.#stored, error });
  }
}

/**
 * What an earlier page has left in storage, in the order in which it was given.
 * @param {Shelf} storage
 * @param {string} prefix
 * @returns {Entry[]}
 */
function kept(storage, prefix) {
  const names = Array.from({ length: storage.length }, (_, i) => storage.key(i) ?? "");
  /** @param {string} name @returns {Entry[]} */
  const read = (name) => {
    try {
      return [JSON.parse(storage.getItem(name) ?? "")];
    } catch {
      return [];
    }
  };
  return names
    .filter((name) => name.startsWith(prefix))
    .flatMap(read)
    .sort((a, b) => (a.at ?? 0) - (b.at ?? 0));
}
