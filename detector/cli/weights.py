"""`distil`, `average` and `calibrate`: new weights from trained ones."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from detector import paper
from detector.cli.arguments import parse_names, parse_new_weights, training_bar
from detector.cli.evaluate import require_exhaustive_frames
from detector.datasets import read_dataset
from detector.datasets.frames import read_mitosis_free
from detector.experiments.cross_validation import read_left_out
from detector.frames import cases_of
from detector.model.card import read_card
from detector.model.checkpoint import SHIPPED_WEIGHTS
from detector.split import split_by_case
from detector.training.average import average_weights
from detector.training.calibrate import calibrate_weights
from detector.training.distil import distil
from detector.training.plan import read_plan


def distil_options(parser: argparse.ArgumentParser) -> None:
    """Options of `distil`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="frames to distil on; labels are not used")
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="the shipped weights by default")
    parser.add_argument("--plan", default="distil", help="distil (default), or a TOML file")
    parser.add_argument("--held-out", default="", help="cases to measure the recall on only, e.g. A04")
    parser.add_argument("--slides", nargs="+", type=Path, default=[], metavar="SLIDE", help="more tissue to distil on")
    parser.add_argument(
        "--out", type=parse_new_weights, required=True, help="weights to write (.safetensors), and their card"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside --out")


def run_distil(options: argparse.Namespace) -> None:
    """Write weights with a coarse network; print the recall of the cascade."""
    plan = read_plan(options.plan)
    slides = cases_of(
        frame for path in options.slides for frame in read_mitosis_free(path, least_tissue=paper.COARSE_TISSUE)
    )
    held_out = parse_names(options.held_out)
    train, validation = split_by_case([*read_dataset(options.dataset), *slides], held_out)
    with training_bar(plan.iterations) as report:
        path = distil(options.weights, train, validation, plan, options.out, resume=options.resume, report=report)
    card = read_card(path)
    print(json.dumps(card["coarse"]["kept"], indent=1))
    print(f"weights: {path}, card: {path.with_suffix('.json')}")


def average_options(parser: argparse.ArgumentParser) -> None:
    """Options of `average`."""
    parser.add_argument("weights", nargs="+", type=Path, metavar="WEIGHTS", help="each the --parent of the next")
    parser.add_argument("--shares", nargs="+", type=float, metavar="SHARE", help="how much each counts; all alike")
    parser.add_argument("--dataset", type=Path, help="data set of the held-out cases")
    parser.add_argument("--held-out", default="", help="cases to evaluate on, that none was trained on, e.g. A04")
    parser.add_argument(
        "--out", type=parse_new_weights, required=True, help="weights to write (.safetensors), and their card"
    )


def run_average(options: argparse.Namespace) -> None:
    """Write the mean of several weights."""
    names = parse_names(options.held_out)
    if names and options.dataset is None:
        raise ValueError("--held-out names cases; give the --dataset that they are in")
    held_out = split_by_case(read_dataset(options.dataset), names)[1] if names else []
    path = average_weights(options.weights, held_out, options.out, shares=options.shares)
    print(f"weights: {path}, card: {path.with_suffix('.json')}")


def calibrate_options(parser: argparse.ArgumentParser) -> None:
    """Options of `calibrate`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="labelled frames to set confidence 0.5 on")
    parser.add_argument("--cases", help="only these cases, e.g. A04,07: such as the weights were not trained on")
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="the shipped weights by default")
    parser.add_argument("--held-out", default="", help="cases not trained on, to evaluate on for the card")
    parser.add_argument(
        "--course",
        type=Path,
        metavar="WEIGHTS",
        help="weights of the same training without the held-out cases, to set the scale and to measure with",
    )
    parser.add_argument(
        "--left-out",
        type=Path,
        metavar="TABLE",
        help="table.json of `cross-validate --by source`, whose first row goes onto the card",
    )
    parser.add_argument(
        "--out", type=parse_new_weights, required=True, help="weights to write (.safetensors), with their card"
    )


def run_calibrate(options: argparse.Namespace) -> None:
    """Write weights whose confidence 0.5 is where F1 is best; print what was set."""
    cases = read_dataset(options.dataset)
    _, held_out = split_by_case(cases, parse_names(options.held_out))
    if options.cases:
        _, cases = split_by_case(cases, parse_names(options.cases))
    require_exhaustive_frames(cases)
    left_out = read_left_out(options.left_out) if options.left_out else None
    path = calibrate_weights(options.weights, cases, held_out, options.out, course=options.course, left_out=left_out)
    card = read_card(path)
    print(json.dumps(card["calibration"]))
    print(f"weights: {path}, card: {path.with_suffix('.json')}")
