"""`export`: weights for other programs, as ONNX and as a README for a model hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from detector.model.card import read_card
from detector.model.checkpoint import SHIPPED_WEIGHTS
from detector.model.onnx_file import write_onnx
from detector.model.readme import readme_of


def export_options(parser: argparse.ArgumentParser) -> None:
    """Options of `export`."""
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="the shipped weights by default")
    parser.add_argument("--onnx", type=Path, metavar="OUT.onnx", help="the network, images of any size")
    parser.add_argument("--readme", type=Path, metavar="README.md", help="the card, as the Hugging Face Hub reads it")
    parser.add_argument("--license", default="apache-2.0", help="of the weights, for the README (apache-2.0)")


def run_export(options: argparse.Namespace) -> None:
    """Write what is asked for."""
    if options.onnx is None and options.readme is None:
        raise ValueError("name what to write: --onnx OUT.onnx, --readme README.md, or both")
    if options.onnx is not None:
        if options.onnx.suffix != ".onnx":
            raise ValueError(f"{options.onnx} must end in .onnx")
        apart = write_onnx(options.weights, options.onnx)
        print(f"ONNX: {options.onnx}, logits within {apart:.1g} of torch")
    if options.readme is not None:
        text = readme_of(read_card(options.weights), license=options.license)
        options.readme.parent.mkdir(parents=True, exist_ok=True)
        options.readme.write_text(text, "utf-8")
        print(f"README: {options.readme}")
