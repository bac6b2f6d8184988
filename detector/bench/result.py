"""A benchmark result beside its target; the configuration of a benchmark; interleaved timing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.model.figure_scale import FigureScale
from detector.model.network import ResNet12


@dataclass(frozen=True)
class BenchmarkResult:
    """One measured value. at_least, at_most: its target, None without one. A ratio is over `baseline`."""

    value: float | int | str
    baseline: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if isinstance(self.value, str) or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    def line(self, name: str) -> str:
        """The result as a line of text."""
        target = f">= {self.at_least:g}" if self.at_least is not None else ""
        target = f"<= {self.at_most:g}" if self.at_most is not None else target
        verdict = {True: "reached", False: "missed", None: ""}[self.reached]
        return f"{name:34} {self.value!s:>14}  {target:8} {verdict:8} {self.baseline}".rstrip()


BenchmarkResults = dict[str, BenchmarkResult]


@dataclass(frozen=True)
class Bench:
    """Configuration of a benchmark. size: side in px of the slide that is drawn where `slide` is None.

    tiatoolbox: a Python that has it, to be measured with the same `weights`; both or neither. coarse: first stage of
    the cascade. figures: scale of the scores. dataset: labelled frames on which the recall of the cascade is measured.
    """

    network: ResNet12
    coarse: ResNet12 | None = None
    figures: FigureScale | None = None
    dataset: Path | None = None
    slide: Path | None = None
    size: int = 5000
    rounds: int = 5
    device: str = "auto"
    weights: Path | None = None
    tiatoolbox: Path | None = None


def ratio(above: float, below: float, baseline: str, **target: float) -> BenchmarkResult:
    """One value over another; target: `at_least` or `at_most`."""
    return BenchmarkResult(round(above / below, 3), baseline, **target)


def interleaved(
    rounds: int, clock: Callable[[], float] = time.perf_counter, **calls: Callable[[], Any]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds of each call over interleaved rounds, after one warm-up each, and the last result of each.

    clock: wall time; `time.thread_time` for what one core computes, whatever else the machine does.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, Any] = {}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            begun = clock()
            results[name] = call()
            if turn:
                seconds[name].append(clock() - begun)
    return {name: float(np.median(values)) for name, values in seconds.items()}, results
