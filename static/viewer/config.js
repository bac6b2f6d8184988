// What the server says to the slide page.

import { at } from "./dom.js";

/**
 * @typedef {object} Config
 * @property {string} slide
 * @property {number} width level-0 px
 * @property {number} height
 * @property {import("./geometry.js").Point | null} mpp um per level-0 px
 * @property {string} state of the slide
 * @property {string | null} run that is shown
 * @property {number} defaultScore threshold at first
 * @property {number} floor least score that a run stores
 * @property {number} matchUm within which a place is a figure that is there already
 * @property {string} person who reads
 * @property {boolean} [atypical] whether the study tells atypical figures
 * @property {boolean} mayJudge whether the person may judge, draw regions and sign
 */
/** @typedef {Config & {run: string}} RunConfig */

export const MPP = 0.25; // um per px where the slide does not say, as at 40x

/** @returns {Config} */
export const readConfig = () => JSON.parse(at("config").textContent);

/** Whether there is a run to read. @param {Config} config @returns {config is RunConfig} */
export const hasRun = (config) => config.run !== null;

/** um per level-0 px. @param {Pick<Config, "mpp">} config */
export const mppOf = ({ mpp }) => mpp?.[0] ?? MPP;

/** A length in level-0 px. @param {Pick<Config, "mpp">} config @param {number} um */
export const pixels = (config, um) => um / mppOf(config);
