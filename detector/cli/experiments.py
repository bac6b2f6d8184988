"""`reproduce` and `cross-validate`: Table 1, and plans compared on every labelled slide."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from detector.cli.arguments import (
    consensus_option,
    mitosis_free_cases,
    mitosis_free_option,
    parse_count,
    parse_names,
    training_arguments,
    training_bar,
    training_options,
)
from detector.datasets import describe_sources, read_dataset
from detector.datasets.unlabelled import read_unlabelled
from detector.experiments.cross_validation import cross_validate
from detector.experiments.report import markdown
from detector.experiments.table1 import LABELLED, Sources, run_table
from detector.training.plan import override_toml, read_plan


def reproduce_options(parser: argparse.ArgumentParser) -> None:
    """Options of `reproduce`."""
    parser.add_argument("t", type=Path, metavar="T", help="a labelled set; also mined, its labels hidden")
    parser.add_argument("m", type=Path, metavar="M", help="a labelled set of another scanner, alike")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, mined samples and the table")
    parser.add_argument("--plan", default="reproduce", help="paper, short, reproduce (default), or a TOML file")
    parser.add_argument(
        "--unlabelled", nargs="+", type=Path, default=[], metavar="FOLDER", help="images without labels, to be mined"
    )
    parser.add_argument(
        "--unseen", type=Path, metavar="DATASET", help="a labelled set that nothing is trained on, to be tested on too"
    )
    parser.add_argument("--seeds", type=parse_count, default=5, metavar="N", help="trainings of each row; default 5")
    parser.add_argument(
        "--rounds", type=parse_count, default=1, metavar="N", help="times to mine, each with the last detector"
    )
    parser.add_argument(
        "--labelled",
        nargs="+",
        choices=[name.replace(" ", "") for name in LABELLED],
        default=[name.replace(" ", "") for name in LABELLED],
        help="rows to train, each without and with U; default all",
    )
    consensus_option(parser)
    training_options(parser, parent="initial weights of every row, trained on none of the cases")


def run_reproduce(options: argparse.Namespace) -> None:
    """Train and test every row of Table 1 and print the table."""
    plan = read_plan(options.plan)
    unseen = read_dataset(options.unseen) if options.unseen is not None else []
    unlabelled = [case for folder in options.unlabelled for case in read_unlabelled(folder)]
    sources = Sources(
        read_dataset(options.t), read_dataset(options.m), unlabelled, unseen,
        options.unseen.resolve().name if unseen else "unseen",
    )  # fmt: skip
    for part in (sources.t, sources.m, sources.unseen):
        tqdm.write("\n".join(describe_sources(part)))
    tqdm.write(f"without labels: {len(sources.unlabelled)} images")
    with training_bar(plan.iterations) as report:
        table = run_table(
            sources, plan, options.out, tta_consensus=options.tta_consensus, say=tqdm.write, seeds=options.seeds,
            rounds=options.rounds, labelled=[name for name in LABELLED if name.replace(" ", "") in options.labelled],
            **training_arguments(options, report),
        )  # fmt: skip
    tqdm.write(f"{markdown(table)}\nthe table: {options.out / 'table.md'}, table.csv, table.json")


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
    parser.add_argument(
        "--by",
        choices=["case", "source"],
        default="case",
        help="what is left out in turn: a case (default) or a source",
    )
    parser.add_argument(
        "--calibrate-on",
        default="",
        metavar="CASES",
        help="cases that no network learns from, by which its scores are calibrated before it is evaluated on others",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and the table")
    mitosis_free_option(parser)
    training_options(parser, parent="initial weights, trained on none of the cases that are evaluated on")


def run_cross_validate(options: argparse.Namespace) -> None:
    """Train each plan on all but one case or source, in turn, and write the table."""
    plan = read_plan(options.plan)
    plans = [plan, *(override_toml(plan, text) for text in options.change)]
    cases = [*read_dataset(options.dataset), *mitosis_free_cases(options)]
    with training_bar(max(one.iterations for one in plans)) as report:
        course = training_arguments(options, report)
        cross_validate(
            cases, plans, options.out, say=tqdm.write, by=options.by,
            calibrate_on=parse_names(options.calibrate_on), resume=True, **course,
        )  # fmt: skip
    tqdm.write(f"the table: {options.out / 'table.md'}")
