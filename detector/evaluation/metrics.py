"""Section 4, Metrics: matching within 30 px (7.5 um), precision, recall, F1, maximum F1 over thresholds, per case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.frames import Points


@dataclass(frozen=True)
class Counts:
    """True positives, false positives, false negatives; they add up over frames."""

    true_positives: int
    false_positives: int
    false_negatives: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 0 without detections."""
        return self.true_positives / max(self.true_positives + self.false_positives, 1)

    @property
    def recall(self) -> float:
        """TP / (TP + FN); 0 without truths."""
        return self.true_positives / max(self.true_positives + self.false_negatives, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there was nothing to find and nothing was found."""
        total = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / total if total else 1.0


@dataclass(frozen=True)
class MatchedFrame:
    """Detections of one frame matched to its labels.

    scores: (n,). hits: (n,) true positives, see `match`. truths: number of labels. case: whose frame. source: its
    source of data.
    """

    case: str
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    truths: int
    source: str = ""

    def counts(self, threshold: float) -> Counts:
        """Counts of the detections with at least this score."""
        over = self.scores >= threshold
        hits = int((self.hits & over).sum())
        return Counts(hits, int(over.sum()) - hits, self.truths - hits)


def match(
    xy: Points, scores: NDArray[np.float64], truths: Points, radius: float = paper.MATCH_RADIUS
) -> NDArray[np.bool_]:
    """(n,) which detections are true positives.

    By falling score, each detection takes the nearest truth within `radius` that no better one has taken; the paper
    leaves the order open. A second detection on a taken truth is false. xy (n, 2) and truths (m, 2) in one unit with
    radius. As matching goes by falling score, the hits above any threshold are the hits at that threshold.
    """
    hits = np.zeros(len(xy), dtype=bool)
    free = np.ones(len(truths), dtype=bool)
    for index in np.argsort(-scores, kind="stable"):
        distances = np.where(free, np.hypot(*(truths - xy[index]).T), np.inf)
        if len(truths) and distances.min() <= radius:
            free[distances.argmin()] = False
            hits[index] = True
    return hits


@dataclass(frozen=True)
class Evaluation:
    """All matched frames of a data set, and their metrics."""

    frames: Sequence[MatchedFrame]

    def by_source(self) -> dict[str, Evaluation]:
        """The evaluation of each source of data, in the order of their names."""
        names = sorted({frame.source for frame in self.frames})
        return {name: Evaluation([frame for frame in self.frames if frame.source == name]) for name in names}

    def rescored(self, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Evaluation:
        """The evaluation with other scores in the same order."""
        return Evaluation([replace(frame, scores=change(frame.scores)) for frame in self.frames])

    def counts(self, threshold: float = paper.SCORE_THRESHOLD) -> Counts:
        """Counts over all frames at a threshold."""
        return sum((frame.counts(threshold) for frame in self.frames), Counts(0, 0, 0))

    def curve(self) -> list[tuple[float, Counts]]:
        """(threshold, counts) at every score that occurs, from high to low: the precision-recall curve."""
        scores, hits, found, truths = self._sums()
        return [
            (float(score), Counts(int(tp), int(n - tp), int(truths - tp)))
            for score, tp, n in zip(scores, hits, found, strict=True)
        ]

    def max_f1(self) -> tuple[float, float]:
        """(F1, threshold) at the best threshold; "this mitigates the problem of high sensitivity of F1-score".

        A threshold of 1 is among them, as finding nothing is best where there is nothing to find.
        """
        scores, hits, found, truths = self._sums()
        nothing = 1.0 if truths == 0 else 0.0
        f1 = 2 * hits / np.maximum(found + truths, 1)
        if not len(f1) or nothing >= f1.max():
            return max(nothing, self.counts(1.0).f1), 1.0
        best = int(f1.argmax())  # the highest of equally good thresholds
        return float(f1[best]), float(scores[best])

    def intervals(self, *, draws: int = paper.BOOTSTRAP_DRAWS, seed: int = 0) -> dict[str, tuple[float, float]]:
        """95 % bootstrap intervals over cases of "f1" (at 0.5) and "max_f1": cases are drawn with replacement.

        Frames of one case are alike, so cases are drawn, not frames. With one case the interval is a point and says
        nothing. Empty without cases.
        """
        cases = [self.pooled(case) for case in sorted({frame.case for frame in self.frames})]
        if not cases:
            return {}
        rng = np.random.default_rng(seed)
        drawn = [
            Evaluation([cases[index] for index in rng.integers(len(cases), size=len(cases))]) for _ in range(draws)
        ]
        values = {"f1": [one.counts().f1 for one in drawn], "max_f1": [one.max_f1()[0] for one in drawn]}
        ends = {key: np.percentile(of_key, [2.5, 97.5]) for key, of_key in values.items()}
        return {key: (float(low), float(high)) for key, (low, high) in ends.items()}

    def pooled(self, case: str) -> MatchedFrame:
        """The frames of a case pooled into one."""
        frames = [frame for frame in self.frames if frame.case == case]
        scores, hits = (np.concatenate([getattr(f, key) for f in frames]) for key in ("scores", "hits"))
        return MatchedFrame(case, scores, hits, sum(f.truths for f in frames))

    def _sums(self) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], int]:
        """(scores, hits, detections, truths): distinct scores, falling; cumulated counts there; all labels."""
        scores = np.concatenate([f.scores for f in self.frames]) if self.frames else np.empty(0)
        hits = np.concatenate([f.hits for f in self.frames]) if self.frames else np.empty(0, dtype=bool)
        order = np.argsort(-scores, kind="stable")
        scores, hits = scores[order], hits[order].cumsum()
        last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.empty(0, dtype=int)
        return scores[last], hits[last], last + 1, sum(f.truths for f in self.frames)

    def f1_by_case(self, threshold: float = paper.SCORE_THRESHOLD) -> dict[str, float]:
        """F1 of each case (Case-Level Performance)."""
        cases = sorted({frame.case for frame in self.frames})
        return {
            case: sum((f.counts(threshold) for f in self.frames if f.case == case), Counts(0, 0, 0)).f1
            for case in cases
        }


def paired_intervals(
    first: Evaluation, second: Evaluation, *, draws: int = paper.BOOTSTRAP_DRAWS, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Paired bootstrap of first - second, for "f1" (at 0.5) and "max_f1": (difference, low, high) of a 95 % interval.

    Both hold the same cases; the same ones are drawn for both. All 0 without cases.
    """
    names = sorted({frame.case for frame in first.frames})
    sides = [[one.pooled(case) for case in names] for one in (first, second)]

    def measure(indices: NDArray[np.intp]) -> tuple[float, float]:
        a, b = (Evaluation([cases[index] for index in indices]) for cases in sides)
        return a.counts().f1 - b.counts().f1, a.max_f1()[0] - b.max_f1()[0]

    if not names:
        return {"f1": (0.0, 0.0, 0.0), "max_f1": (0.0, 0.0, 0.0)}
    rng = np.random.default_rng(seed)
    drawn = np.array([measure(rng.integers(len(names), size=len(names))) for _ in range(draws)])
    ends = np.percentile(drawn, [2.5, 97.5], axis=0)
    values = measure(np.arange(len(names)))
    return {key: (values[i], float(ends[0, i]), float(ends[1, i])) for i, key in enumerate(("f1", "max_f1"))}
