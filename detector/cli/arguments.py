"""Options shared by several commands, and their parsers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detector import paper
from detector.datasets.frames import read_mitosis_free
from detector.detection.scorer import Scorer, load_scorer
from detector.errors import ResolutionUnknown
from detector.frames import Case, cases_of
from detector.model.card import Card
from detector.model.checkpoint import SHIPPED_WEIGHTS
from detector.slide import Slide
from detector.training.train import Report, TrainingReport


def network_options(parser: argparse.ArgumentParser) -> None:
    """Weights, device and precision."""
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="the shipped weights by default")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")


def cascade_option(parser: argparse.ArgumentParser) -> None:
    """Whether the coarse network of a cascade is used."""
    parser.add_argument(
        "--no-cascade", dest="cascade", action="store_false", help="score every cell, without the coarse network"
    )


def scorer_of(options: argparse.Namespace, *, cascade: bool) -> tuple[Scorer, Card]:
    """The scorer that the options of `network_options` name, and the card of its weights."""
    return load_scorer(options.weights, device=options.device, precision=options.precision, cascade=cascade)


def training_options(parser: argparse.ArgumentParser, *, parent: str) -> None:
    """Options of every training. parent: help text of `--parent`."""
    parser.add_argument("--parent", type=Path, metavar="WEIGHTS", help=parent)
    parser.add_argument("--compile", action="store_true", help="up to twice as fast on a CPU; needs a C++ compiler")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")


def training_arguments(options: argparse.Namespace, report: Report) -> dict[str, Any]:
    """The options of `training_options` as keyword arguments of the training functions."""
    return {**{key: getattr(options, key) for key in ("parent", "compile", "device", "precision")}, "report": report}


def consensus_option(parser: argparse.ArgumentParser) -> None:
    """Least score of a mined sample under test-time augmentation (section 3.2)."""
    parser.add_argument(
        "--tta-consensus",
        "--agreement",
        type=parse_positive_score,
        default=paper.MINING_AGREEMENT,
        metavar="SCORE",
        help="least score of a mined sample under every flip and rotation; default 0.8",
    )


def mitosis_free_option(parser: argparse.ArgumentParser) -> None:
    """Slides without a mitosis, to train on."""
    parser.add_argument(
        "--mitosis-free",
        nargs="+",
        type=Path,
        default=[],
        metavar="SLIDE",
        help="slides known to hold no mitosis: background and look-alikes are taken from them",
    )


def mitosis_free_cases(options: argparse.Namespace) -> list[Case]:
    """The cases of the slides that `mitosis_free_option` names."""
    return cases_of(frame for path in options.mitosis_free for frame in read_mitosis_free(path))


@contextmanager
def training_bar(iterations: int) -> Iterator[Report]:
    """A progress bar with rate and time left; measurements are printed above it."""
    with tqdm(total=iterations, unit="it", disable=None) as bar:

        def report(state: TrainingReport) -> None:
            if state["iteration"] < bar.n:
                bar.reset()
            bar.update(state["iteration"] - bar.n)
            if "per_second" in state:
                waiting = f", {state['waiting']:.0%} waiting" if "waiting" in state else ""
                bar.set_postfix_str(f"loss {state['loss']:.4f}{waiting}")
            else:
                bar.write(json.dumps(state))

        yield report


def slide_mpp(slide: Slide, given: float | None) -> tuple[float, float]:
    """(x, y) um per pixel of the file, else as given. Raises ResolutionUnknown without either."""
    if slide.mpp is not None:
        return slide.mpp
    if given is None:
        raise ResolutionUnknown(f"{slide.path} does not say its um per pixel; give it with --mpp, e.g. --mpp 0.25")
    return given, given


def parse_names(text: str) -> list[str]:
    """Names between commas; none of an empty text."""
    return [name for name in text.split(",") if name]


def void(_: object) -> None:
    """Drop a result."""


def parse_score(text: str) -> float:
    """A score from 0 up to, but not, 1."""
    value = parse_number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("a score lies between 0 and 1")
    return value


def parse_positive_score(text: str) -> float:
    """A score above 0 and below 1."""
    value = parse_score(text)
    if value == 0:
        raise argparse.ArgumentTypeError("every place has a score above 0; ask for more")
    return value


def parse_mpp(text: str) -> float:
    """um per pixel of a microscope."""
    value = parse_number(text)
    if not 0.05 <= value <= 5:
        raise argparse.ArgumentTypeError("um per pixel of a microscope lie between 0.05 and 5")
    return value


def parse_number(text: str) -> float:
    """Any number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number") from None


def parse_count(text: str) -> int:
    """A whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 up")
    return int(text)


def parse_new_file(text: str) -> Path:
    """A file in an existing folder, so that a typo ends the command before the work."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path} cannot be written: give a file in a folder that is there")
    return path


def parse_new_weights(text: str) -> Path:
    """A file of weights; its folder is made if need be."""
    path = Path(text)
    if path.suffix != ".safetensors" or path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} must be a file that ends in .safetensors")
    return path
