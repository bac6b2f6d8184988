// The marks on the slide, drawn once each and stamped from then on. Shape says what colour says.

export const COLOUR = {
  "": "#0072b2",
  mitotic: "#0072b2",
  non_mitotic: "#d55e00",
  unsure: "#7b3fa0",
  other: "#00795a",
  selected: "#e69f00",
  tumour: "#5a35a0",
  exclusion: "#8a2d00",
  hotspot: "#b3005e",
  hpf: "#1b1b24",
};
const HALO = "#ffffff";
const made = new Map();

/**
 * @param {CanvasRenderingContext2D} context
 * @param {"" | "mitotic" | "non_mitotic" | "unsure" | "other" | "only"} kind
 * @param {number} radius screen px
 * @param {number} ratio device pixels per screen px
 */
export function stamp(context, kind, radius, ratio, x, y) {
  const sprite = made.get(kind + radius + ratio) ?? make(kind, radius, ratio);
  const side = sprite.width / ratio;
  context.drawImage(sprite, x - side / 2, y - side / 2, side, side);
}

function make(kind, radius, ratio) {
  if (made.size > 60) made.clear();
  const half = Math.ceil(radius * 1.5 + 5);
  const canvas = new OffscreenCanvas(2 * half * ratio, 2 * half * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, half * ratio, half * ratio);
  const path = outline(kind, radius);
  const thin = radius < 6;
  for (const [colour, width] of [
    [HALO, thin ? 3.5 : 5],
    [COLOUR[kind] ?? COLOUR.other, thin ? 1.8 : 2.4],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    // Nobody has judged it: an open ring.
    context.setLineDash(kind === "" && !thin && colour !== HALO ? [radius * 0.55, radius * 0.32] : []);
    context.stroke(path);
  }
  const sprite = canvas.transferToImageBitmap(); // stamping a bitmap is cheaper than stamping a canvas
  made.set(kind + radius + ratio, sprite);
  return sprite;
}

function outline(kind, r) {
  const path = new Path2D();
  if (kind === "non_mitotic") path.rect(-r * 0.9, -r * 0.9, 1.8 * r, 1.8 * r);
  else if (kind === "unsure")
    polygon(
      path,
      [
        [0, -1.25],
        [1.25, 0],
        [0, 1.25],
        [-1.25, 0],
      ],
      r,
    );
  else if (kind === "other")
    polygon(
      path,
      [
        [0, -1.4],
        [1.25, 0.8],
        [-1.25, 0.8],
      ],
      r,
    );
  else if (kind === "only") for (const turn of [0.25, 0.75, 1.25, 1.75]) ticks(path, turn * Math.PI, r);
  else path.arc(0, 0, r, 0, 2 * Math.PI);
  return path;
}

function polygon(path, corners, r) {
  corners.forEach(([x, y], i) => path[i ? "lineTo" : "moveTo"](x * r, y * r));
  path.closePath();
}

function ticks(path, angle, r) {
  path.moveTo(Math.cos(angle) * r * 1.1, Math.sin(angle) * r * 1.1);
  path.lineTo(Math.cos(angle) * r * 1.5, Math.sin(angle) * r * 1.5);
}
