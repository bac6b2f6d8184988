// The precision-recall curves of the two versions, over each other; a ring is where each stands at score 0.5.

import { plot } from "./plots.js";

const place = document.getElementById("curves");
const curves = JSON.parse(document.getElementById("curve-data").textContent);
const at = ({ recall, precision }) => [recall, precision];
const lines = curves.map(({ name, points, at_half: half }) => ({ name, points: points.map(at), ring: at(half) }));

if (place) plot(place, lines, { x: "recall", y: "precision", xRange: [0, 1], yRange: [0, 1] });
