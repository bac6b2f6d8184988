"""How far a coarse network is to be trusted in a cascade: where it points (`trust`), and what is lost (`compare`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from detector import paper
from detector.detect import Cells, Detections, Scorer, logit, place
from detector.hpf import Case, Hpf, Rgb
from detector.network import ResNet12
from detector.windows import Rectangle, map_size


@dataclass(frozen=True)
class Comparison:
    """What a cascade finds on some frames, against the fine network on every cell.

    at_half, at_floor: detections of the fine network from 0.5 up, and from the stored score up. lost_*: those of them
    that the cascade has not, at the same place with the same score. added: what only the cascade has. looked_at: share
    of the cells that it scored.
    """

    frames: int
    at_half: int
    lost_at_half: int
    at_floor: int
    lost_at_floor: int
    added: int
    looked_at: float


def trust(coarse: ResNet12, fine: ResNet12, cases: Sequence[Case]) -> None:
    """Shift the logits of `coarse` so that from 0 up it points at all that the fine network detects at 0.5 here.

    On the whole frames of these cases, with `paper.COARSE_MARGIN` to spare for frames that are not among them.
    """
    looks, knows = (Scorer(network, device="cpu", precision="fp32") for network in (coarse, fine))
    lowest = []
    for hpf in _whole_frames(cases):
        image = _under_the_map(hpf)
        logits, pointing = knows.logits(image), looks.logits(image)
        # One cell that is pointed at leads to all cells around it that reach the floor (`look_closer`).
        spots, count = ndimage.label(logits >= logit(paper.STORED_SCORE_FLOOR), structure=np.ones((3, 3)))
        best, highest = (ndimage.maximum(m, spots, np.arange(1, count + 1)) for m in (logits, pointing))
        lowest += np.asarray(highest)[np.asarray(best) >= logit(paper.SCORE_THRESHOLD)].tolist()
    bias = coarse.classifier.bias
    assert bias is not None
    with torch.no_grad():
        bias[1] += paper.COARSE_MARGIN - min(lowest, default=0.0)


def compare(scorer: Scorer, cases: Sequence[Case]) -> Comparison:
    """What the cascade of a scorer finds on the whole frames of some cases, against its fine network alone."""
    count, cells, looked_at = np.zeros(5, dtype=int), 0, 0
    hpfs = _whole_frames(cases)
    for hpf in hpfs:
        image = _under_the_map(hpf)
        every, some = scorer.logits(image), scorer.logits_from(image, paper.STORED_SCORE_FLOOR)
        alone, cascade = (_detections(logits, hpf) for logits in (every, some))
        half, lost = alone.scores >= paper.SCORE_THRESHOLD, ~_among(alone, cascade)
        count += [half.sum(), (half & lost).sum(), len(half), lost.sum(), (~_among(cascade, alone)).sum()]
        cells, looked_at = cells + every.size, looked_at + int(np.isfinite(some).sum())
    at_half, lost_at_half, at_floor, lost_at_floor, added = count.tolist()
    share = round(looked_at / max(cells, 1), 4)
    return Comparison(len(hpfs), at_half, lost_at_half, at_floor, lost_at_floor, added, share)


def _whole_frames(cases: Sequence[Case]) -> list[Hpf]:
    return [hpf for case in cases for hpf in case.hpfs if hpf.exhaustive]


def _under_the_map(hpf: Hpf) -> Rgb:
    """The pixels of a frame under all cells of its map, the mirror padding included."""
    frame = hpf.frame()
    return frame.read(*Rectangle(0, 0, *map_size(frame), windows=1).region)


def _detections(logits: NDArray[np.float32], hpf: Hpf) -> Detections:
    """Those from the stored score up."""
    rows, columns = np.nonzero(logits >= logit(paper.STORED_SCORE_FLOOR))
    return place(Cells(np.stack([columns, rows], axis=1).astype(np.int32), logits[rows, columns]), hpf.frame())


def _among(some: Detections, others: Detections) -> NDArray[np.bool_]:
    """Which of some detections are among the others too: within a tenth of a pixel and a thousandth of the score."""
    rows, other_rows = (np.column_stack([found.xy * 0.01, found.scores]) for found in (some, others))
    apart = np.abs(rows[:, None] - other_rows[None]).max(axis=2, initial=0)  # (some, others)
    return np.asarray((apart < 1e-3).any(axis=1))
