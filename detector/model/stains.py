"""The range of stain that weights were trained on, and whether a stain lies outside of it. No torch.

A stain is the mean and deviation of the three LAB channels (`LabStatistics`), as contrast transfer takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.frames import Case, LabStatistics, frames_by_source
from detector.model.card import StainRange

CHANNELS = ("L", "A", "B")


def stain_range(cases: Iterable[Case]) -> StainRange | None:
    """What the stains of the frames range over, for a card; None without a frame.

    Of each source the percentiles `paper.STAIN_PERCENTILES` over its frames; the range holds those of every source.
    """
    found: StainRange | None = None
    for frames in frames_by_source(cases).values():
        stains = [frame.stain for frame in frames]
        mean, deviation = (_percentiles([getattr(stain, name) for stain in stains]) for name in ("mean", "deviation"))
        found = united(found, {"mean": mean, "deviation": deviation, "frames": len(frames)})
    return found


def united(one: StainRange | None, other: StainRange | None) -> StainRange | None:
    """The range that holds both; the other one where one is None."""
    if one is None or other is None:
        return one or other
    return {
        "mean": _hull(one["mean"], other["mean"]),
        "deviation": _hull(one["deviation"], other["deviation"]),
        "frames": one.get("frames", 0) + other.get("frames", 0),
    }


def stain_outside(stain: LabStatistics, known: StainRange) -> list[str]:
    """In what a stain leaves a range by more than `paper.STAIN_MARGIN`: "mean L", "deviation B", ...; else nothing."""
    return [
        f"{name} {channel}"
        for name, values, ranges in (
            ("mean", stain.mean, known["mean"]),
            ("deviation", stain.deviation, known["deviation"]),
        )
        for channel, value, (low, high) in zip(CHANNELS, values, ranges, strict=True)
        if not low - paper.STAIN_MARGIN <= value <= high + paper.STAIN_MARGIN
    ]


def _percentiles(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """[[low, high]] of each channel. rows: three values of each frame."""
    ends: NDArray[np.float64] = np.percentile(np.asarray(rows, dtype=np.float64), paper.STAIN_PERCENTILES, axis=0)
    return [[round(float(low), 2), round(float(high), 2)] for low, high in ends.T]


def _hull(some: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[min(a[0], b[0]), max(a[1], b[1])] for a, b in zip(some, others, strict=True)]
