"""`detect`: mitoses of slides or frames as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detector import paper
from detector.cli.arguments import (
    cascade_option,
    network_options,
    parse_mpp,
    parse_new_file,
    parse_score,
    scorer_of,
    slide_mpp,
    void,
)
from detector.detection.detect import detect
from detector.detection.scorer import Scorer
from detector.detection.slide_fit import fit_slide
from detector.detection.windows import plan_windows
from detector.model.card import Card
from detector.model.checkpoint import load_shifts
from detector.slide import WorkingFrame, open_slide, scanner_of
from detector.version import code_version


def detect_options(parser: argparse.ArgumentParser) -> None:
    """Options of `detect`."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE_OR_SLIDE")
    parser.add_argument(
        "--out", type=parse_new_file, help="file to write; one JSON line per input; standard output by default"
    )
    parser.add_argument("--min-score", type=parse_score, default=paper.SCORE_THRESHOLD, help="default 0.5")
    parser.add_argument("--mpp", type=parse_mpp, help="um per pixel, where the file does not say; e.g. 0.2456")
    parser.add_argument("--format", choices=("mitoscope", "midog"), default="mitoscope")
    network_options(parser)
    cascade_option(parser)


def run_detect(options: argparse.Namespace) -> None:
    """Write one JSON line for each image or slide, with the shift of its scanner."""
    scorer, card = scorer_of(options, cascade=options.cascade)
    shifts = load_shifts(options.weights)
    if options.out is not None and options.out.resolve() in {path.resolve() for path in options.images}:
        raise ValueError(f"{options.out} is what is to be looked at; give --out another name")
    mode = "w"
    for path in options.images:  # written one by one, so that a bad file does not lose what came before it
        line = json.dumps(_detect_one(path, scorer, card, shifts, options)) + "\n"
        with nullcontext(sys.stdout) if options.out is None else options.out.open(mode, encoding="utf-8") as out:
            out.write(line)
            out.flush()
        mode = "a"


def _detect_one(
    path: Path, scorer: Scorer, card: Card, shifts: Mapping[str, float], options: argparse.Namespace
) -> dict[str, Any]:
    with open_slide(path) as slide:
        mpp = slide_mpp(slide, options.mpp)
        frame = WorkingFrame(slide, mpp)
        fit = fit_slide(frame, scanner_of(slide), card, shifts)
        scorer = fit.scorer(scorer)
        with tqdm(total=plan_windows(frame).windows_total, unit="window", disable=None, desc=path.name) as bar:
            found = detect(
                scorer, frame, min_score=options.min_score, progress=lambda done: void(bar.update(done - bar.n))
            )
    if options.format == "midog":
        return {
            "type": "Multiple points",
            "points": [
                {
                    "name": "mitotic figure",
                    "point": [x * mpp[0] / 1000, y * mpp[1] / 1000, 0],
                    "probability": score,
                }
                for (x, y), score in zip(found.xy.tolist(), found.scores.tolist(), strict=True)
            ],
            "version": {"major": 1, "minor": 0},
        }
    return {
        "slide": path.name,
        "mpp": list(mpp),
        "model": {"name": card.get("name"), "sha256": card["sha256"]},
        "parameters": {
            "min_score": options.min_score,
            "nms_radius_um": paper.um(paper.NMS_RADIUS),
            "working_mpp": list(frame.mpp),
            "precision": scorer.precision,
            "cascade": scorer.uses_cascade(paper.PEAK_FLOOR),
            "frame_edge": paper.FRAME_EDGE if frame.cut else 0,
            "figure_scale": asdict(scorer.figures),
            **fit.parameters(),
            "code_version": code_version(),
        },
        "detections": found.rows(),
    }
