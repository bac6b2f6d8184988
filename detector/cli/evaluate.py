"""`evaluate`: metrics of weights on a labelled data set (section 4)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from detector.cli.arguments import cascade_option, network_options, parse_names, parse_new_file, scorer_of
from detector.datasets import describe_folder, read_dataset
from detector.errors import DataSetError
from detector.evaluation.evaluate import by_source, curve, evaluate, reliability, summary
from detector.frames import Case
from detector.split import split_by_case


def evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Options of `evaluate`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    parser.add_argument("--cases", help="only these cases, e.g. A04 or A00,A04")
    parser.add_argument("--out", type=parse_new_file, required=True, help="JSON file to write")
    network_options(parser)
    cascade_option(parser)


def run_evaluate(options: argparse.Namespace) -> None:
    """Write metrics, by source as well, and the precision-recall curve as JSON."""
    scorer, card = scorer_of(options, cascade=options.cascade)
    cases = read_dataset(options.dataset)
    if options.cases:
        _, cases = split_by_case(cases, parse_names(options.cases))
    require_exhaustive_frames(cases)
    print("\n".join(describe_folder(options.dataset, cases)), flush=True)
    evaluation = evaluate(scorer, cases)
    result = {"dataset": options.dataset.name, "weights": card["sha256"], **summary(evaluation)}
    result["by_source"] = by_source(evaluation)
    result["reliability"] = {source: reliability(one) for source, one in evaluation.by_source().items()}
    result["precision_recall"] = curve(evaluation)
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(f"F1 at 0.5: {result['f1_at_0.5']}, max F1: {result['max_f1']} at {result['max_f1_threshold']}")


def require_exhaustive_frames(cases: Sequence[Case]) -> None:
    """Raises DataSetError where no frame has all its mitoses labelled."""
    if not any(frame.exhaustive for case in cases for frame in case.frames):
        raise DataSetError("no frame of it has all its mitoses labelled, so nothing can be judged on it")
