"""`python -m detector`: detect, evaluate, train and what goes with it, mine, reproduce, benchmark.

Bad input ends in one sentence and exit status 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from detector.cli.benchmark import benchmark_options, run_benchmark
from detector.cli.detect import detect_options, run_detect
from detector.cli.evaluate import evaluate_options, run_evaluate
from detector.cli.experiments import cross_validate_options, reproduce_options, run_cross_validate, run_reproduce
from detector.cli.export import export_options, run_export
from detector.cli.mine import mine_options, run_mine
from detector.cli.train import run_train, run_train_atypical, train_atypical_options, train_options
from detector.cli.weights import (
    average_options,
    calibrate_options,
    distil_options,
    run_average,
    run_calibrate,
    run_distil,
)
from detector.detection.allocator import tune_process
from detector.errors import DetectorError
from detector.version import code_version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 2 for bad input, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 0
    tune_process()
    try:
        options.run(options)
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (DetectorError, ValueError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("detector: interrupted", file=sys.stderr)
        return 130
    return 0


def _refuse(sentence: str) -> int:
    print(f"detector: {sentence}", file=sys.stderr)
    return 2


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what it cannot take."""

    def error(self, message: str) -> NoReturn:
        self.exit(_refuse(f"{message}; {self.prog} --help says more"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m detector",
        description="Mitosis detection on H&E as in Akram et al. 2018. Research use only.",
    )
    parser.add_argument("--version", action="version", version=code_version())
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")

    for name, what, add_options, run in (
        ("detect", "find mitoses in slides or frames, written as JSON", detect_options, run_detect),
        ("evaluate", "metrics of weights on a labelled data set (section 4)", evaluate_options, run_evaluate),
        ("train", "train the initial model on labelled frames (section 3.1)", train_options, run_train),
        (
            "train-atypical",
            "train the network that tells atypical mitoses from normal ones",
            train_atypical_options,
            run_train_atypical,
        ),
        (
            "cross-validate",
            "compare training plans by cross-validation over the cases",
            cross_validate_options,
            run_cross_validate,
        ),
        ("average", "average the weights of several stages of one training", average_options, run_average),
        (
            "calibrate",
            "set one scale of scores, on which confidence 0.5 is near the best F1 of each source",
            calibrate_options,
            run_calibrate,
        ),
        ("distil", "distil a coarse first stage for a cascade: faster on a CPU", distil_options, run_distil),
        ("export", "write weights as ONNX, and their card as a README", export_options, run_export),
        ("mine", "mine mitoses from unlabelled slides (section 3.2)", mine_options, run_mine),
        ("reproduce", "labelled slides against labelled and mined ones (Table 1)", reproduce_options, run_reproduce),
        ("benchmark", "speed and memory as ratios to plain baselines, in one run", benchmark_options, run_benchmark),
    ):
        command = commands.add_parser(name, help=what)
        command.set_defaults(run=run)
        add_options(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
