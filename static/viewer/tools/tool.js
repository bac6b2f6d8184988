// What a tool of the slide page is, and which of them gets what the hand does.

/** @typedef {{x: number, y: number}} Position  screen px from the top left of the slide's element */
/** @typedef {Pick<PointerEvent, "pointerType" | "shiftKey">} Hand */

/**
 * One tool, one file in this folder. What a tool has no use for it leaves out; true says: this was meant for me.
 * @typedef {object} Tool
 * @property {(how?: any) => void} [activate] by its button or key
 * @property {() => boolean} [deactivate] put it away; whether it was in use
 * @property {(name: string) => boolean} [key] a key that shortcuts.js gives to it, by name
 * @property {(position: Position) => boolean} [click]
 * @property {(position: Position) => boolean} [doubleClick]
 * @property {(position: Position, hand?: Hand) => boolean} [press] true: what follows is this tool's
 * @property {(position: Position, hand?: Hand) => boolean} [drag]
 * @property {(position: Position) => boolean} [release]
 */
/** @typedef {"click" | "doubleClick" | "press" | "drag" | "release"} Gesture */

/**
 * Ask one tool after the other until one takes it.
 * @param {Tool[]} tools
 * @param {Gesture} gesture
 * @param {Position} position
 * @param {Hand} [hand]
 */
export const ask = (tools, gesture, position, hand) => tools.some((tool) => tool[gesture]?.(position, hand));
