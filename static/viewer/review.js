// Giving verdicts: from key to figure to server and back, with everything to take back.

import * as api from "./api.js";
import { Card } from "./card.js";
import { Gallery } from "./gallery.js";
import { gallery as listSpots } from "./order.js";
import { VerdictQueue } from "./verdicts.js";

const CLOSE_UP = 0.25; // um per screen px when a figure is shown
const AHEAD = 8; // crops loaded before they are asked for
const POLL = 4000; // ms between two looks at what others said
const SAY = { "": "Taken back", mitotic: "Mitotic figure", non_mitotic: "Not a mitotic figure", unsure: "Unsure" };

export class Review {
  #config;
  #store;
  #stage;
  #undo;
  #say;
  #spots = [];
  #version = null;
  #position = new Int32Array();

  /**
   * @param {object} parts
   * @param {object} parts.config of the page
   * @param {import("./store.js").Store} parts.store
   * @param {import("./stage.js").Stage} parts.stage
   * @param {import("./undo.js").Undo} parts.undo
   * @param {(words: string, kind?: "warn" | "good") => void} parts.say
   * @param {() => void} parts.judged called when the server has a new verdict
   */
  constructor({ config, store, stage, undo, say, judged }) {
    [this.#config, this.#store, this.#stage, this.#undo, this.#say] = [config, store, stage, undo, say];
    this.card = new Card(config.slide, store, document.getElementById("card"));
    this.gallery = new Gallery(config.slide, store, document.getElementById("gallery"), (spot) => this.select(spot));
    this.order = document.getElementById("order");
    this.filter = document.getElementById("filter");
    this.showing = document.getElementById("showing");
    for (const choice of [this.order, this.filter]) choice.addEventListener("change", () => {
      choice.blur();
      this.list();
    });
    this.queue = new VerdictQueue({
      send: (entry) => api.judge(config.slide, config.run, entry),
      storage: localStorage,
      name: `mitoscope verdicts ${config.person} ${config.slide}`,
      on: {
        kept: (entry, figure) => this.#kept(entry, figure, judged),
        lost: (entry) => undo.drop(entry.verdict),
        conflict: (entry, error) => this.#conflict(entry, error, judged),
        refused: (entry, error) => {
          store.dropFigure(entry.local);
          this.refreshFigures(true);
          say(error.message, "warn");
        },
        state: (state) => this.#saved(state),
      },
    });
    addEventListener("online", () => this.queue.flush());
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
    setInterval(() => !document.hidden && this.refreshFigures(), POLL);
  }

  /** Look at what others said since. */
  async refreshFigures(anew = false) {
    try {
      const answer = await api.figures(this.#config.slide, this.#config.run, anew ? null : this.#version);
      if (!answer) return;
      const first = this.#version === null;
      this.#version = answer.version;
      this.#store.setFigures(answer.results);
      if (!first) this.onOthers?.();
    } catch {
      // The queue says when the server is away; a missed look is made up for by the next.
    }
  }

  /** Make the list anew: another order or filter, another threshold. */
  list() {
    this.#spots = listSpots(this.#store, this.order.value, this.filter.value, this.#config.mpp?.[0] ?? 0.25);
    this.#position = new Int32Array(this.#store.spots).fill(-1);
    for (let i = 0; i < this.#spots.length; i++) this.#position[this.#spots[i]] = i;
    this.gallery.show(this.#spots);
    const all = this.#store.spots.toLocaleString("en");
    this.showing.textContent = `Showing ${this.#spots.length.toLocaleString("en")} of ${all} figures; candidates are stored from score ${this.#config.floor}`;
    this.update();
  }

  update() {
    this.gallery.refresh();
    this.card.show(this.#where(), this.#spots.length);
  }

  /** Choose a spot and, unless told otherwise, look at it. */
  select(spot, look = true) {
    this.#store.select(spot);
    if (spot < 0) return this.update();
    const position = this.#where();
    this.gallery.reveal(position);
    this.update();
    if (position >= 0) this.card.preload(Array.from(this.#spots.slice(position + 1, position + 1 + AHEAD)));
    if (look) {
      const { x, y } = this.#store.place(spot);
      this.#stage.goTo(x, y, this.#config.mpp ? CLOSE_UP : 1);
    }
  }

  /** The next (+1) or previous (-1) one of the list. */
  step(direction) {
    if (!this.#spots.length) return;
    const from = this.#where();
    const to = from < 0 ? 0 : Math.min(Math.max(from + direction, 0), this.#spots.length - 1);
    this.select(this.#spots[to]);
  }

  /** Say what the chosen figure is, and go on to the next one. */
  judge(label) {
    const spot = this.#store.selected;
    if (spot < 0) return this.#say("Choose a figure first: J shows the next one.", "warn");
    const before = this.#store.label(spot);
    const { x, y } = this.#store.place(spot);
    const position = this.#where();
    const id = this.#give(spot, x, y, label);
    this.#undo.push({ id, say: `${SAY[label]} at ${x.toFixed(0)}, ${y.toFixed(0)}`, back: () => this.#giveAt(x, y, before) });
    this.#say(`${SAY[label]}. Z takes it back.`);
    // With a filter the judged one may leave the list; what comes next then stands where it stood.
    if (this.filter.value !== "all") this.list();
    const stays = this.#spots[position] === spot;
    const next = this.#spots[stays ? position + 1 : position];
    if (position >= 0 && next !== undefined) this.select(next);
    else this.update();
  }

  /** Add a figure that was missed; where one is there already it is judged instead. */
  add(x, y) {
    const spot = this.#at(x, y);
    const before = spot >= 0 ? this.#store.label(spot) : "";
    const id = this.#give(spot, x, y, "mitotic");
    const given = this.#at(x, y);
    const place = this.#store.place(given);
    this.#undo.push({ id, say: "the added figure", back: () => this.#giveAt(place.x, place.y, before) });
    this.#say(spot >= 0 ? "There was a candidate here already: it is a mitotic figure now. Z takes it back." : "Missed figure added. Z takes it back.");
    this.list();
    this.select(given, false);
  }

  #giveAt(x, y, label) {
    const spot = this.#at(x, y);
    this.#give(spot, x, y, label);
    if (label === "" && spot >= this.#store.columns.n) this.#store.select(-1);
    this.list();
    if (this.#store.label(spot) || spot < this.#store.columns.n) this.select(spot);
  }

  #give(spot, x, y, label) {
    const old = spot >= 0 ? this.#store.figure(spot) : undefined;
    const verdict = crypto.randomUUID?.() ?? uuid();
    const place = spot >= 0 ? this.#store.place(spot) : { x, y };
    const entry = { verdict, label, x: place.x, y: place.y, expected: old?.version ?? 0, local: old?.id ?? `new ${verdict}` };
    this.#show(entry, spot, entry.local);
    this.queue.give(entry);
    return verdict;
  }

  /** Show a verdict as given, before the server has it. */
  #show(entry, spot, id) {
    const candidate = spot >= 0 && spot < this.#store.columns.n ? this.#store.columns.key[spot] : null;
    this.#store.putFigure({
      id, x: entry.x, y: entry.y, added: candidate === null, label: entry.label, version: entry.expected + 1,
      by: this.#config.person, at: null, candidate, pending: true,
    });
  }

  #kept(entry, figure, judged) {
    const shown = this.#store.figure(this.#store.spotOf(entry.local));
    const later = this.queue.waits(entry.local) || this.queue.waits(figure.id);
    this.#store.putFigure(later && shown ? { ...shown, id: figure.id, candidate: figure.candidate } : figure, entry.local);
    this.update();
    if (!later) judged();
  }

  #conflict(entry, error, judged) {
    if (error.body.figure) this.#store.putFigure(error.body.figure, entry.local);
    else this.#store.dropFigure(entry.local);
    this.list();
    const spot = this.#store.spotOf(error.body.figure?.id ?? "");
    if (spot >= 0) this.select(spot);
    this.#say(`${error.message} You said: ${SAY[entry.label].toLowerCase()}.`, "warn");
    judged();
  }

  #saved({ waiting, stored, error }) {
    const line = document.getElementById("saved");
    const many = `${waiting} ${waiting === 1 ? "verdict" : "verdicts"}`;
    line.dataset.state = error ? "away" : waiting ? "sending" : "saved";
    line.dataset.waiting = waiting;
    const signedOut = error && [401, 403].includes(error.status);
    const wait = `${many} ${waiting === 1 ? "waits" : "wait"} in this ${stored ? "browser" : "tab, which must stay open,"}`;
    line.textContent = signedOut
      ? `You are signed out. ${wait}: sign in again in another tab, then they are sent.`
      : error ? `The server does not answer. ${wait} and ${waiting === 1 ? "is" : "are"} sent as soon as it does; go on reading.`
      : waiting ? `Saving ${many} …` : "All verdicts are saved.";
  }

  #where() {
    return this.#position[this.#store.selected] ?? -1;
  }

  /** The spot that a place means: the nearest judged or stored one within the matching radius, -1 for none. */
  #at(x, y) {
    const reach = this.#config.matchUm / (this.#config.mpp?.[0] ?? 0.25);
    const shown = this.#store.nearest(x, y, reach);
    return shown >= 0 ? shown : this.#store.nearestCandidate(x, y, reach);
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
