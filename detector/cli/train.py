"""`train`: the initial model, or with mined samples the final one (section 3.1)."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

from detector.cli.arguments import (
    mitosis_free_cases,
    mitosis_free_option,
    parse_names,
    parse_new_weights,
    training_arguments,
    training_bar,
    training_options,
)
from detector.datasets import describe_folder, read_dataset
from detector.errors import DataSetError
from detector.frames import LabelledFrame
from detector.mine import read_mined
from detector.model.card import read_card, refuse_training_cases
from detector.model.checkpoint import SHIPPED_WEIGHTS
from detector.split import split_by_case, validation_cases
from detector.training.atypical import train_atypical
from detector.training.plan import read_plan
from detector.training.train import CHECKPOINT, train_final_model, train_initial_model


def train_options(parser: argparse.ArgumentParser) -> None:
    """Options of `train`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of one data set, or of several")
    parser.add_argument("--plan", required=True, help="paper, short, or a TOML file")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, card, curve and checkpoint")
    parser.add_argument(
        "--held-out", default="", help="cases to evaluate on, not to train on, e.g. A04; auto: one in five, by the seed"
    )
    mitosis_free_option(parser)
    parser.add_argument("--cases", help="use these cases only, e.g. A00,A01,A04")
    parser.add_argument(
        "--mined", type=Path, metavar="DIR", help="what `mine` wrote: trains the final model, with FG-WSI as well"
    )
    parser.add_argument("--resume", action="store_true", help="resume from the checkpoint in --out")
    training_options(parser, parent="initial weights, instead of random ones")


def run_train(options: argparse.Namespace) -> None:
    """Train the initial model, or with `--mined` the final one."""
    plan = read_plan(options.plan)
    cases = [*read_dataset(options.dataset), *mitosis_free_cases(options)]
    print("\n".join(describe_folder(options.dataset, cases)), flush=True)
    if options.cases:
        _, cases = split_by_case(cases, parse_names(options.cases))
    held_out = parse_names(options.held_out)
    if options.held_out == "auto":
        held_out = validation_cases((c.name for c in cases if any(frame.exhaustive for frame in c.frames)), plan.seed)
        print(f"held out: {', '.join(held_out)}")
    train, validation = split_by_case(cases, held_out)
    if options.parent is not None:
        refuse_training_cases(options.parent, set(held_out))
    if options.resume and not (options.out / CHECKPOINT).exists():
        print(f"{options.out} holds no checkpoint: from the beginning")
    with training_bar(plan.iterations) as report:
        course = {"resume": options.resume, **training_arguments(options, report)}
        if options.mined is None:
            path = train_initial_model(train, validation, plan, options.out, **course)
        else:
            path = train_final_model(train, validation, _mined(options.mined), plan, options.out, **course)
    print(f"weights: {path}, card: {path.with_suffix('.json')}")


def train_atypical_options(parser: argparse.ArgumentParser) -> None:
    """Options of `train-atypical`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="AMi-Br, AtNorM, or a folder of both")
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="the shipped weights by default")
    parser.add_argument("--plan", default="atypical", help="atypical (default), or a TOML file")
    parser.add_argument(
        "--folds", type=int, default=3, help="of the cross-validation over cases, 2 or more (default 3)"
    )
    parser.add_argument(
        "--out", type=parse_new_weights, required=True, help="weights to write (.safetensors), and their card"
    )


def run_train_atypical(options: argparse.Namespace) -> None:
    """Write weights with a network for atypical mitoses; print what it finds on cases that it has not seen."""
    if options.folds < 2:
        raise ValueError("--folds is 2 or more, so that something is held out")
    cases = read_dataset(options.dataset)
    print("\n".join(describe_folder(options.dataset, cases)), flush=True)
    plan = read_plan(options.plan)
    say = partial(print, flush=True)
    path = train_atypical(options.weights, cases, plan, options.out, folds=options.folds, report=say)
    print(json.dumps(read_card(path)["atypical"]["metrics_by_source"], indent=1))
    print(f"weights: {path}, card: {path.with_suffix('.json')}")


def _mined(folder: Path) -> list[LabelledFrame]:
    patches = read_mined(folder)
    if not patches:
        raise DataSetError(f"{folder} holds no mined sample; ask for a lower --tta-consensus, or train without --mined")
    return patches
