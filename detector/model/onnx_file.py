"""The network as an ONNX file, for other programs: the same cells, checked against torch when it is written.

What a count rests on besides stands in the metadata of the file: um/px, stride, patch, and how the mean logit of a
figure becomes its score (`FigureScale`; docs/onnx.md has the few lines that do it).
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from detector import paper
from detector.errors import DetectorError, WeightsError
from detector.model.checkpoint import load_figure_scale, load_shifts, load_weights
from detector.model.network import ResNet12, folded, mitosis_logit
from detector.slide.folder import sha256_of

if TYPE_CHECKING:
    import onnx

_NEEDED = "detector/requirements-onnx.txt"
_TOLERANCE = 1e-3  # of a logit: a score changes by less than 0.0003
# Images, px: a patch, sides that are no multiple of the stride, several at once.
_CHECKED = ((1, 128, 128), (2, 131, 200), (1, 328, 255))


def write_onnx(weights: Path, out: Path) -> float:
    """Write the fine network of `weights` as ONNX; how far its logits are from those of torch, at most.

    Input `image`: float32 [n, 3, h, w], RGB in 0..255, at 0.25 um/px, h and w at least 128. Output `logits`: float32
    [n, r, q], log odds of mitosis of the cells, as `ResNet12` and `mitosis_logit` give them. n, h and w are free.
    Raises WeightsError where the two differ, and DetectorError where the packages for ONNX are not installed.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch writes by it
    except ImportError as error:
        raise DetectorError(f"ONNX needs packages of its own: pip install -r {_NEEDED}") from error
    network, card = load_weights(weights)
    cells = _Cells(folded(network)).eval()
    program = _exported(cells)
    figures = load_figure_scale(weights)
    about = {
        "name": card.get("name", weights.stem),
        "weights_sha256": sha256_of(weights),
        "widths": json.dumps(network.widths),
        "um_per_px": str(paper.WORKING_MPP),
        "patch_size": str(paper.PATCH_SIZE),
        "output_stride": str(paper.OUTPUT_STRIDE),
        "figure_cells": str(paper.FIGURE_CELLS),
        "figure_scale": repr(figures.scale),
        "figure_shift": repr(figures.shift),
        "scanner_shifts": json.dumps(load_shifts(weights), ensure_ascii=False),
    }
    onnx.helper.set_model_props(program, about)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    try:
        onnx.save_model(program, partial)
        session = onnxruntime.InferenceSession(partial, providers=["CPUExecutionProvider"])
        apart = 0.0
        for n, height, width in _CHECKED:
            image = np.random.default_rng(height).uniform(0, 255, (n, 3, height, width)).astype(np.float32)
            with torch.inference_mode():
                wanted = cells(torch.from_numpy(image)).numpy()
            apart = max(apart, float(np.abs(session.run(None, {"image": image})[0] - wanted).max()))
        if not apart <= _TOLERANCE:
            raise WeightsError(f"the ONNX file of {weights} gives other logits than torch, by {apart:.2g}; not written")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return apart


class _Cells(nn.Module):
    """The network with one output: the log odds of mitosis of each cell."""

    def __init__(self, network: ResNet12) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:  # (n, 3, h, w) -> (n, r, q)
        return mitosis_logit(self.network(image))


def _exported(cells: nn.Module) -> onnx.ModelProto:
    """An ONNX model with free n, h and w. What torch says on standard output at every step is left out."""
    n, height, width = torch.export.Dim("n"), *(torch.export.Dim(side, min=paper.PATCH_SIZE) for side in ("h", "w"))
    sample = torch.zeros(2, 3, 256, 320)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            cells,
            (sample,),
            dynamo=True,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: n, 2: height, 3: width},),
        )
    assert program is not None
    return program.model_proto
