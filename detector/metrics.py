"""Section 4, Metrics: matching within 30 px (7.5 um), precision, recall, F1, maximum F1 over thresholds, per case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.hpf import Points


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
class Judged:
    """The detections of one frame, judged. scores, hits: (n,); truths: how many there were; case: whose frame."""

    case: str
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    truths: int

    def counts(self, threshold: float) -> Counts:
        """Counts of the detections with at least this score."""
        over = self.scores >= threshold
        hits = int((self.hits & over).sum())
        return Counts(hits, int(over.sum()) - hits, self.truths - hits)


def match(
    xy: Points, scores: NDArray[np.float64], truths: Points, radius: float = paper.MATCH_RADIUS
) -> NDArray[np.bool_]:
    """Which detections are true positives.

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
    """All judged frames of a data set."""

    frames: Sequence[Judged]

    def counts(self, threshold: float = paper.SCORE_THRESHOLD) -> Counts:
        """Counts over all frames at a threshold."""
        return sum((frame.counts(threshold) for frame in self.frames), Counts(0, 0, 0))

    def curve(self) -> list[tuple[float, Counts]]:
        """(threshold, counts) at every score that occurs, from high to low: the precision-recall curve."""
        scores = np.concatenate([f.scores for f in self.frames]) if self.frames else np.empty(0)
        hits = np.concatenate([f.hits for f in self.frames]) if self.frames else np.empty(0, dtype=bool)
        order = np.argsort(-scores, kind="stable")
        scores, hits = scores[order], hits[order].cumsum()
        truths = sum(f.truths for f in self.frames)
        last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.empty(0, dtype=int)
        return [(float(scores[i]), Counts(int(hits[i]), int(i + 1 - hits[i]), int(truths - hits[i]))) for i in last]

    def max_f1(self) -> tuple[float, float]:
        """(F1, threshold) at the best threshold; "this mitigates the problem of high sensitivity of F1-score".

        A threshold of 1 is among them, as finding nothing is best where there is nothing to find.
        """
        curve = [*self.curve(), (1.0, self.counts(1.0))]
        return max((counts.f1, threshold) for threshold, counts in curve)

    def f1_by_case(self, threshold: float = paper.SCORE_THRESHOLD) -> dict[str, float]:
        """F1 of each case (Case-Level Performance)."""
        cases = sorted({frame.case for frame in self.frames})
        return {
            case: sum((f.counts(threshold) for f in self.frames if f.case == case), Counts(0, 0, 0)).f1
            for case in cases
        }
