"""`reproduce` and `cross-validate`: Table 1, and plans compared on every labelled slide."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from detector.cli.arguments import (
    consensus_option,
    mitosis_free_cases,
    mitosis_free_option,
    parse_names,
    training_arguments,
    training_bar,
    training_options,
)
from detector.datasets import read_dataset
from detector.experiments.cross_validation import cross_validate
from detector.experiments.semi_supervised import make_splits, parse_split, run_experiment
from detector.training.plan import override_toml, read_plan


def reproduce_options(parser: argparse.ArgumentParser) -> None:
    """Options of `reproduce`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a labelled set; labels of some cases are hidden")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, mined samples and the table")
    parser.add_argument("--plan", default="reproduce", help="paper, short, reproduce (default), or a TOML file")
    parser.add_argument(
        "--tests", help="cases to evaluate on, one split each, e.g. A01,A03,A04; default: the three richest"
    )
    parser.add_argument(
        "--split", action="append", metavar="T:U:TEST", help="these cases instead, e.g. A02,A03:A00,A04:A01; repeat it"
    )
    consensus_option(parser)
    parser.add_argument(
        "--beside",
        nargs="+",
        type=Path,
        default=[],
        metavar="DATASET",
        help="labelled sets of other sources that both are trained on too",
    )
    mitosis_free_option(parser)
    training_options(parser, parent="initial weights of both, trained on none of the cases")


def run_reproduce(options: argparse.Namespace) -> None:
    """Train T and T + U for each split and write the table."""
    plan = read_plan(options.plan)
    cases = read_dataset(options.dataset)
    richest = sorted(cases, key=lambda case: -sum(len(frame.mitoses) for frame in case.frames))[:3]
    tests = parse_names(options.tests) if options.tests else sorted(case.name for case in richest)
    names = [case.name for case in cases]
    splits = [parse_split(text, names) for text in options.split] if options.split else make_splits(names, tests)
    beside = [case for path in options.beside for case in read_dataset(path)] + mitosis_free_cases(options)
    with training_bar(plan.iterations) as report:
        run_experiment(
            cases, splits, plan, options.out, tta_consensus=options.tta_consensus, say=tqdm.write, beside=beside,
            resume=True, **training_arguments(options, report),
        )  # fmt: skip
    tqdm.write(f"the table: {options.out / 'table.md'}")


def cross_validate_options(parser: argparse.ArgumentParser) -> None:
    """Options of `cross-validate`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of one data set, or of several")
    parser.add_argument("--plan", required=True, help="paper, short, or a TOML file")
    parser.add_argument(
        "--change",
        action="append",
        default=[],
        metavar="TOML",
        help="compare the plan with this change of it; may be repeated; e.g. 'augmentation.blur = 0'",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and the table")
    mitosis_free_option(parser)
    training_options(parser, parent="initial weights, trained on none of the cases that are evaluated on")


def run_cross_validate(options: argparse.Namespace) -> None:
    """Train each plan on all but a part of the slides, in turn, and write the table."""
    plan = read_plan(options.plan)
    plans = [plan, *(override_toml(plan, text) for text in options.change)]
    cases = [*read_dataset(options.dataset), *mitosis_free_cases(options)]
    with training_bar(max(one.iterations for one in plans)) as report:
        cross_validate(cases, plans, options.out, say=tqdm.write, resume=True, **training_arguments(options, report))
    tqdm.write(f"the table: {options.out / 'table.md'}")
