"""Benchmarks: ratios to named baselines, measured in one run.

Baselines are written out in the plainest way (`baselines.py`): the paper's recipe window by window, greedy suppression
in a loop, a training step as one would first write it, all with the allocator as a program finds it. Rounds are
interleaved, so that a machine that slows down slows both sides.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import openslide

from detector.bench.parts import cascade, exactness, reading, suppression, training
from detector.bench.result import Bench, BenchmarkResults
from detector.bench.slide import whole_slide
from detector.errors import SlideError
from detector.slide import open_slide
from detector.slide.drawn import draw_slide

PARTS: dict[str, Callable[[Bench, Path], BenchmarkResults]] = {
    "slide": whole_slide,
    "exactness": exactness,
    "cascade": cascade,
    "reading": reading,
    "suppression": suppression,
    "training": training,
}


def run(bench: Bench, parts: Sequence[str]) -> BenchmarkResults:
    """The figures of some of `PARTS`, in this order."""
    figures: BenchmarkResults = {}
    with tempfile.TemporaryDirectory() as folder:
        path = bench.slide or Path(folder) / "slide.tif"
        if bench.slide is not None:
            open_slide(path).close()  # says what is wrong with a file that is none
            if openslide.OpenSlide.detect_format(path) is None:
                raise SlideError("It is no slide that OpenSlide opens; speed is measured on such a one.", path)
        elif {"slide", "reading"} & set(parts):
            draw_slide(path, size=bench.size, figures=max(3, bench.size // 400))
        for part in parts:
            figures |= PARTS[part](bench, path)
    return figures
