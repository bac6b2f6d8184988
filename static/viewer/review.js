// Giving verdicts: from key to figure to server and back, with everything to take back. Knows no page.

import { mppOf, pixels } from "./config.js";
import { gallery } from "./order.js";
import { VerdictQueue } from "./verdicts.js";
import { said } from "./words.js";

/** @import { RunConfig } from "./config.js" */
/** @import { Filter, Order } from "./order.js" */
/** @import { Scene } from "./scene.js" */
/** @import { Stage } from "./stage.js" */
/** @import { Figure, Store } from "./store.js" */
/** @import { Say } from "./toast.js" */
/** @import { Undo } from "./undo.js" */
/** @import { Entry, Failure, QueueState, Shelf } from "./verdicts.js" */
/** @import { Label, Verdict } from "./words.js" */

/**
 * @typedef {object} Panel  where the list and the chosen figure are shown
 * @property {Order} order
 * @property {Filter} filter
 * @property {(spots: ArrayLike<number>) => void} list
 * @property {(position: number, length: number) => void} show
 * @property {(position: number) => void} reveal
 * @property {(spots: number[]) => void} preload
 * @property {(state: QueueState) => void} saved
 */
/**
 * @typedef {object} Parts
 * @property {Pick<RunConfig, "slide" | "run" | "person" | "mpp" | "matchUm" | "atypical">} config
 * @property {Store} store
 * @property {Panel} panel
 * @property {Pick<Stage, "closeUp">} stage
 * @property {Scene} scene
 * @property {Undo} undo
 * @property {Say} say
 * @property {() => void} judged called when the server has another verdict
 * @property {() => boolean} [screens] whether the slide is screened field by field
 * @property {Shelf} storage for verdicts on their way
 * @property {Pick<typeof import("./api.js"), "figures" | "judge">} server
 */

const AHEAD = 8; // crops loaded before they are asked for

export class Review {
  #parts;
  #store;
  /** @type {Int32Array | number[]} the list */
  #spots = [];
  /** Of the figures that the server has told. @type {number | null} */
  #version = null;
  /** Of each spot in the list, -1: not in it. */
  #position = new Int32Array();

  /** @param {Parts} parts */
  constructor(parts) {
    const { config, store, undo, storage, server, panel } = parts;
    this.#parts = parts;
    this.#store = store;
    this.queue = new VerdictQueue({
      send: (entry) => server.judge(config.slide, config.run, entry),
      storage,
      name: `mitoscope verdicts ${config.person} ${config.slide}`,
      on: {
        kept: (entry, figure) => this.#kept(entry, figure),
        lost: (entry) => undo.drop(entry.verdict),
        conflict: (entry, error) => this.#conflict(entry, error),
        refused: (entry, error) => this.#refused(entry, error),
        state: (state) => panel.saved(state),
      },
    });
  }

  /** Take the verdicts that are there, and those of an earlier visit that the server does not have yet. */
  async start() {
    await this.refreshFigures();
    for (const entry of this.queue.waiting) {
      const spot = this.#at(entry.x, entry.y);
      const figure = spot >= 0 ? this.#store.figure(spot) : undefined;
      this.#show(entry, spot, figure?.id ?? entry.local);
    }
    this.queue.flush();
    this.list();
  }

  /** Look at what others said since. anew: whatever has changed or not */
  async refreshFigures(anew = false) {
    const { config, server, judged } = this.#parts;
    try {
      const answer = await server.figures(config.slide, config.run, anew ? null : this.#version);
      if (!answer) return;
      const first = this.#version === null;
      this.#version = answer.version;
      this.#store.setFigures(answer.results);
      if (first) return;
      this.list();
      judged();
    } catch {
      // The queue says when the server is away; a missed look is made up for by the next.
    }
  }

  /** The hotspot is elsewhere: so are the figures in it. */
  hotspotMoved() {
    const { order, filter } = this.#parts.panel;
    if (order === "hotspot" || filter === "hotspot") this.list();
  }

  /** Begin with the first figure of the hotspot that nobody has judged. */
  startHotspot() {
    this.list();
    this.#nextInHotspot(-1);
  }

  /** The next open figure of the hotspot, which may be another one after each verdict. @param {number} position */
  #nextInHotspot(position) {
    const spots = Array.from(this.#spots);
    const next = [...spots.slice(position + 1), ...spots].find((spot) => !this.#store.label(spot));
    if (next !== undefined) return this.select(next);
    this.update();
    this.#parts.say("Every figure in the hotspot has a verdict.");
  }

  /** Make the list anew: another order or filter, another threshold. */
  list() {
    const { panel } = this.#parts;
    this.#spots = gallery(this.#store, panel.order, panel.filter, mppOf(this.#parts.config), this.#parts.scene);
    this.#position = new Int32Array(this.#store.spots).fill(-1);
    for (let i = 0; i < this.#spots.length; i++) this.#position[this.#spots[i]] = i;
    panel.list(this.#spots);
    this.update();
  }

  update() {
    this.#parts.panel.show(this.#where(), this.#spots.length);
  }

  /** Choose a spot and, unless told otherwise, look at it. @param {number} spot -1 for none */
  select(spot, look = true) {
    this.#store.select(spot);
    if (spot < 0) return this.update();
    const { panel, stage } = this.#parts;
    const position = this.#where();
    panel.reveal(position);
    this.update();
    if (position >= 0) panel.preload(Array.from(this.#spots.slice(position + 1, position + 1 + AHEAD)));
    const { x, y } = this.#store.place(spot);
    if (look) stage.closeUp(x, y);
  }

  /** The next (+1) or previous (-1) one of the list. @param {1 | -1} direction */
  step(direction) {
    if (!this.#spots.length) return;
    const from = this.#where();
    const to = from < 0 ? 0 : Math.min(Math.max(from + direction, 0), this.#spots.length - 1);
    this.select(this.#spots[to]);
  }

  /** Say what the chosen figure is, and go on to the next one. @param {Verdict} label @param {boolean} [atypical] */
  judge(label, atypical = false) {
    const { undo, say, panel } = this.#parts;
    const spot = this.#store.selected;
    if (spot < 0) return say("Choose a figure first: J shows the next one.", "warn");
    const before = this.#store.label(spot);
    const kind = this.#store.figure(spot)?.atypical ?? null;
    const { x, y } = this.#store.place(spot);
    const position = this.#where();
    const id = this.#give(spot, x, y, label, atypical);
    const words = atypical ? "Atypical mitotic figure" : said(label);
    undo.push({
      id,
      say: `${words} at ${x.toFixed(0)}, ${y.toFixed(0)}`,
      back: () => this.#giveAt(x, y, before, kind),
    });
    say(`${words}. Z takes it back.`);
    // With a filter the judged one may leave the list; what comes next then stands where it stood.
    if (panel.filter !== "all") this.list();
    if (panel.filter === "hotspot") return this.#nextInHotspot(position);
    const stays = this.#spots[position] === spot;
    const next = this.#spots[stays ? position + 1 : position];
    if (position >= 0 && next !== undefined) this.select(next);
    else this.update();
  }

  /**
   * Add a figure that was missed; where one is there already it is judged instead.
   * @param {number} x
   * @param {number} y
   */
  add(x, y) {
    const { undo, say } = this.#parts;
    const spot = this.#at(x, y);
    const before = spot >= 0 ? this.#store.label(spot) : "";
    const id = this.#give(spot, x, y, "mitotic");
    const given = this.#at(x, y);
    const place = this.#store.place(given);
    undo.push({ id, say: "the added figure", back: () => this.#giveAt(place.x, place.y, before) });
    const there = "There was a candidate here already: it is a mitotic figure now. Z takes it back.";
    const candidate = spot >= 0 && spot < this.#store.columns.n;
    say(candidate ? there : "Missed figure added. Z takes it back.");
    this.list();
    this.select(given, false);
  }

  /** @param {number} x @param {number} y @param {Label} label @param {boolean | null} [atypical] */
  #giveAt(x, y, label, atypical = null) {
    const spot = this.#at(x, y);
    this.#give(spot, x, y, label, atypical);
    if (label === "" && spot >= this.#store.columns.n) this.#store.select(-1);
    this.list();
    if (this.#store.label(spot) || spot < this.#store.columns.n) this.select(spot);
  }

  /**
   * @param {number} spot -1: a new figure
   * @param {number} x
   * @param {number} y
   * @param {Label} label
   * @param {boolean | null} [atypical]
   * @returns {string} id of the verdict
   */
  #give(spot, x, y, label, atypical = false) {
    const old = spot >= 0 ? this.#store.figure(spot) : undefined;
    const verdict = crypto.randomUUID?.() ?? uuid();
    const place = spot >= 0 ? this.#store.place(spot) : { x, y };
    const local = old?.id ?? `new ${verdict}`;
    /** @type {Entry} */
    const entry = { verdict, label, x: place.x, y: place.y, expected: old?.version ?? 0, local };
    if (this.#parts.screens?.()) entry.screened = true;
    if (this.#parts.config.atypical && label === "mitotic" && atypical !== null) entry.atypical = atypical;
    this.#show(entry, spot, local);
    this.queue.give(entry);
    return verdict;
  }

  /** Show a verdict as given, before the server has it. @param {Entry} entry @param {number} spot @param {string} id */
  #show({ label, x, y, expected, atypical }, spot, id) {
    const candidate = spot >= 0 && spot < this.#store.columns.n ? this.#store.columns.key[spot] : null;
    const added = candidate === null;
    const { person: by } = this.#parts.config;
    const version = expected + 1;
    this.#store.putFigure({ id, x, y, added, label, atypical, version, by, at: null, candidate, pending: true });
  }

  /** @param {Entry} entry @param {Figure} figure */
  #kept({ local }, figure) {
    const shown = this.#store.figure(this.#store.spotOf(local));
    const later = this.queue.waits(local) || this.queue.waits(figure.id);
    const now = later && shown ? { ...shown, id: figure.id, candidate: figure.candidate } : figure;
    this.#store.putFigure(now, local);
    this.update();
    if (!later) this.#parts.judged();
  }

  /** Somebody else was first: show what holds. @param {Entry} entry @param {Failure} error */
  #conflict({ local, label }, { body, message }) {
    /** @type {Figure | undefined} */
    const holds = body.figure;
    if (holds) this.#store.putFigure(holds, local);
    else this.#store.dropFigure(local);
    this.list();
    const spot = this.#store.spotOf(holds?.id ?? "");
    if (spot >= 0) this.select(spot);
    this.#parts.say(`${message} You said: ${said(label).toLowerCase()}.`, "warn");
    this.#parts.judged();
  }

  /** @param {Entry} entry @param {Failure} error */
  #refused({ local }, { message }) {
    this.#store.dropFigure(local);
    this.refreshFigures(true);
    this.#parts.say(message, "warn");
  }

  /** Of the chosen spot in the list, -1: not in it. */
  #where() {
    return this.#position[this.#store.selected] ?? -1;
  }

  /**
   * The spot that a place means, as the server understands it: the nearest figure within the matching radius, judged or
   * taken back, or else the nearest candidate; -1 for none.
   * @param {number} x level-0 px
   * @param {number} y
   */
  #at(x, y) {
    const reach = pixels(this.#parts.config, this.#parts.config.matchUm);
    const figure = this.#store.nearestFigure(x, y, reach);
    return figure >= 0 ? figure : this.#store.nearestCandidate(x, y, reach);
  }
}

/** For pages served without https to another machine, where browsers give no randomUUID. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
