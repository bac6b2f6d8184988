"""`benchmark`: speed and memory as ratios to plain baselines."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from detector.bench.result import Bench
from detector.bench.run import PARTS, run
from detector.cli.arguments import cascade_option, network_options, parse_new_file, parse_number
from detector.model.checkpoint import load_coarse, load_figure_scale, load_weights


def benchmark_options(parser: argparse.ArgumentParser) -> None:
    """Options of `benchmark`."""
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--slide", type=Path, help="a slide to measure on, instead of one that is drawn")
    parser.add_argument(
        "--dataset", type=Path, help="labelled frames on which the cascade is compared with the network"
    )
    parser.add_argument("--size", type=_side, default=5000, help="side in px of the slide that is drawn")
    parser.add_argument(
        "--tiatoolbox", type=Path, metavar="PYTHON", help="a Python that has tiatoolbox, to be measured beside ours"
    )
    parser.add_argument("--rounds", type=_rounds, default=5, help="of which the median is taken; default 5")
    parser.add_argument("--out", type=parse_new_file, help="JSON file to write as well")
    network_options(parser)
    cascade_option(parser)


def run_benchmark(options: argparse.Namespace) -> None:
    """Print the figures of the parts that are asked for; write them as JSON where `--out` says so."""
    network, _ = load_weights(options.weights)
    coarse = load_coarse(options.weights) if options.cascade else None
    if "cascade" in options.parts and options.dataset is None:
        raise ValueError("the cascade is compared on labelled frames; name them with --dataset")
    if "cascade" in options.parts and coarse is None:
        raise ValueError("without a coarse network there is no cascade to compare; leave --no-cascade, or distil one")
    bench = Bench(
        network,
        coarse=coarse,
        figures=load_figure_scale(options.weights),
        dataset=options.dataset,
        slide=options.slide,
        size=options.size,
        rounds=options.rounds,
        device=options.device,
        weights=options.weights,
        tiatoolbox=options.tiatoolbox,
    )
    figures = run(bench, options.parts or list(PARTS))
    for name, figure in figures.items():
        print(figure.line(name))
    if options.out is not None:
        rows = {name: {**asdict(figure), "reached": figure.reached} for name, figure in figures.items()}
        options.out.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


def _side(text: str) -> int:
    value = parse_number(text)
    if not 1024 <= value <= 100_000:
        raise argparse.ArgumentTypeError("a slide is drawn with 1,024 to 100,000 px a side")
    return int(value)


def _rounds(text: str) -> int:
    value = parse_number(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError("1 to 1,000 rounds are measured")
    return int(value)


def _part(text: str) -> str:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(PARTS)}")
    return text
