// The precision-recall curves of the two versions, over each other.

import { plot } from "./plots.js";

const place = document.getElementById("curves");
const curves = JSON.parse(document.getElementById("curve-data").textContent);
const line = (name, key) => ({ name, points: curves[key].map((point) => [point.recall, point.precision]) });

if (place) plot(place, [line("candidate", "candidate"), line("active", "active")], { x: "recall", y: "precision", xRange: [0, 1], yRange: [0, 1] });
