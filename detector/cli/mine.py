"""`mine`: mitoses from unlabelled slides (section 3.2)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tqdm import tqdm

from detector import paper
from detector.cli.arguments import (
    cascade_option,
    consensus_option,
    network_options,
    parse_mpp,
    parse_positive_score,
    scorer_of,
    slide_mpp,
    void,
)
from detector.detection.slide_fit import fit_slide
from detector.detection.windows import plan_windows
from detector.frames import LabelledFrame
from detector.mine import MinedSlideJson, mine_slide, mined_patch, mined_to_json, write_mined
from detector.model.checkpoint import load_shifts
from detector.slide import WorkingFrame, open_slide, scanner_of
from detector.version import code_version


def mine_options(parser: argparse.ArgumentParser) -> None:
    """Options of `mine`."""
    parser.add_argument("slides", nargs="+", type=Path, metavar="SLIDE")
    parser.add_argument("--out", type=Path, required=True, help="folder for mined.json and the patches")
    parser.add_argument("--mpp", type=parse_mpp, help="um per pixel, where the file does not say; e.g. 0.2456")
    parser.add_argument(
        "--prefilter-score",
        "--first-look",
        type=parse_positive_score,
        default=paper.MINING_FIRST_LOOK,
        metavar="SCORE",
        help="least score under the first transformation; default 0.5",
    )
    consensus_option(parser)
    network_options(parser)
    cascade_option(parser)


def run_mine(options: argparse.Namespace) -> None:
    """Write the mined patches and `mined.json`; print the counters of each slide."""
    scorer, card = scorer_of(options, cascade=options.cascade)
    shifts = load_shifts(options.weights)
    options.out.mkdir(parents=True, exist_ok=True)
    model = {"name": card.get("name"), "sha256": card["sha256"]}
    parameters = {
        "first_look": options.prefilter_score,
        "agreement": options.tta_consensus,
        "precision": scorer.precision,
        "cascade": scorer.uses_cascade(options.prefilter_score),
        "code_version": code_version(),
    }
    slides: list[MinedSlideJson] = []
    patches: list[LabelledFrame] = []
    try:
        for path in options.slides:
            with open_slide(path) as slide:
                frame = WorkingFrame(slide, slide_mpp(slide, options.mpp))
                fit = fit_slide(frame, scanner_of(slide), card, shifts)
                with tqdm(total=plan_windows(frame).windows_total, unit="window", disable=None, desc=path.name) as bar:
                    samples, counters = mine_slide(
                        fit.scorer(scorer),
                        frame,
                        prefilter_score=options.prefilter_score,
                        tta_consensus=options.tta_consensus,
                        progress=lambda done, bar=bar: void(bar.update(done - bar.n)),  # type: ignore[misc]
                    )
                patches += [mined_patch(frame, (sample.x, sample.y), slide=path.stem) for sample in samples]
                slides.append(mined_to_json(path.name, samples, counters))
            print(json.dumps({"slide": path.name, **slides[-1]["counters"]}))
    finally:  # a bad slide does not lose what was mined before it
        if slides:
            written = write_mined(options.out, slides, patches, model=model, parameters=parameters)
            print(f"{len(patches)} samples: {written}")
