// Line plots as SVG, drawn from JSON.

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 560,
  HEIGHT = 220,
  LEFT = 48,
  BOTTOM = 28,
  TOP = 8,
  RIGHT = 8;

function node(name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/**
 * @param {Element} place is emptied and filled
 * @param {{name: string, points: [number, number][], ring?: [number, number]}[]} lines ring: a point to be marked
 * @param {{x: string, y: string, log?: boolean, yRange?: [number, number], xRange?: [number, number]}} axes
 */
export function plot(place, lines, { x, y, log = false, yRange, xRange }) {
  const shown = lines.map((line) => ({ ...line, points: line.points.filter((p) => !log || p[1] > 0) }));
  const all = shown.flatMap((line) => line.points);
  place.replaceChildren();
  if (!all.length) {
    place.textContent = "Nothing has been measured yet.";
    return;
  }
  const high = (index) => Math.max(...all.map((p) => p[index])),
    low = (index) => Math.min(...all.map((p) => p[index]));
  const [x0, x1] = xRange ?? [0, high(0)];
  const [y0, y1] = (yRange ?? [low(1), high(1)]).map((value) => (log ? Math.log10(value) : value));
  const toX = (value) => LEFT + ((value - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - RIGHT);
  const toY = (value) =>
    HEIGHT - BOTTOM - (((log ? Math.log10(value) : value) - y0) / (y1 - y0 || 1)) * (HEIGHT - BOTTOM - TOP);
  const svg = node("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    class: "plot",
    role: "img",
    "aria-label": `${y} by ${x}`,
  });
  for (const part of [0, 0.5, 1]) {
    const value = y0 + part * (y1 - y0),
      height = HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP);
    svg.append(node("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: height, y2: height, class: "grid" }));
    svg.append(node("text", { x: LEFT - 6, y: height + 4, "text-anchor": "end" }, short(log ? 10 ** value : value)));
    svg.append(
      node(
        "text",
        { x: toX(x0 + part * (x1 - x0)), y: HEIGHT - BOTTOM + 16, "text-anchor": part === 1 ? "end" : "middle" },
        short(x0 + part * (x1 - x0)),
      ),
    );
  }
  svg.append(node("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 1, "text-anchor": "middle", class: "axis" }, x));
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  svg.append(node("text", { x: 10, y: middle, "text-anchor": "middle", transform: `rotate(-90 10 ${middle})` }, y));
  shown.forEach((line, number) => {
    const path = line.points.map((p) => `${toX(p[0]).toFixed(1)},${toY(p[1]).toFixed(1)}`).join(" ");
    svg.append(node("polyline", { points: path, class: `line line-${number}` }));
    for (const p of line.points.length < 30 ? line.points : [])
      svg.append(node("circle", { cx: toX(p[0]), cy: toY(p[1]), r: 2.5, class: `dot line-${number}` }));
    if (line.ring)
      svg.append(node("circle", { cx: toX(line.ring[0]), cy: toY(line.ring[1]), r: 6, class: `line line-${number}` }));
  });
  const legend = document.createElement("p");
  legend.className = "legend small";
  shown.forEach((line, number) => {
    const key = document.createElement("span");
    key.className = `key line-${number}`;
    key.textContent = line.name;
    legend.append(key);
  });
  place.append(svg, legend);
}

function short(value) {
  const size = Math.abs(value);
  if (size && (size < 0.01 || size >= 100000)) return value.toExponential(0);
  return size >= 100 ? value.toFixed(0) : String(Number(value.toFixed(size < 1 ? 2 : 1)));
}
