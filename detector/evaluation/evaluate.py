"""Evaluation of a detector on labelled frames (section 4)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import numpy as np

from detector import paper
from detector.detection.detect import detect
from detector.detection.scorer import Scorer
from detector.evaluation.metrics import Evaluation, MatchedFrame, match
from detector.frames import Case
from detector.model.card import HeldOut, Metrics, Reliability, data_summary


def evaluate(scorer: Scorer, cases: Sequence[Case], *, floor: float = paper.LOWEST_THRESHOLD) -> Evaluation:
    """Detect in all exhaustively labelled frames and match the labels. floor: lowest threshold of the curve."""
    matched = []
    for case in cases:
        for frame in case.frames:
            if not frame.exhaustive:
                continue
            found = detect(scorer, frame.array_frame(), min_score=floor)
            hits = match(found.xy, found.scores, frame.mitoses, frame.match_radius)
            matched.append(MatchedFrame(case.name, found.scores, hits, len(frame.mitoses), frame.source))
    return Evaluation(matched)


def summary(evaluation: Evaluation) -> Metrics:
    """The numbers of the paper's tables, rounded to four digits, ready for JSON."""
    at_half = evaluation.counts()
    best, threshold = evaluation.max_f1()
    by_case = evaluation.f1_by_case()
    values = list(by_case.values())
    intervals = evaluation.intervals()
    return {
        "cases": len(by_case),
        "frames": len(evaluation.frames),
        "mitoses": sum(frame.truths for frame in evaluation.frames),
        "f1_at_0.5": round(at_half.f1, 4),
        "precision": round(at_half.precision, 4),
        "recall": round(at_half.recall, 4),
        "true_positives": at_half.true_positives,
        "false_positives": at_half.false_positives,
        "false_negatives": at_half.false_negatives,
        "max_f1": round(best, 4),
        "max_f1_threshold": round(threshold, 4),
        "f1_at_0.5_interval": _rounded(intervals.get("f1")),
        "max_f1_interval": _rounded(intervals.get("max_f1")),
        "f1_by_case": {case: round(value, 4) for case, value in by_case.items()},
        "f1_case_mean": round(float(np.mean(values)), 4) if values else None,
        "f1_case_deviation": round(float(np.std(values)), 4) if values else None,
    }


def measure_held_out(card: HeldOut, scorer: Scorer, held_out: Sequence[Case]) -> None:
    """Write the held-out cases, and the metrics on them, into a card; without such a case it has no metrics."""
    card.pop("metrics", None)
    card.pop("metrics_by_source", None)
    card.pop("measured_by", None)
    card["held_out"] = data_summary(held_out)
    if held_out:
        evaluation = evaluate(scorer, held_out)
        card["metrics"], card["metrics_by_source"] = summary(evaluation), by_source(evaluation)


def by_source(evaluation: Evaluation) -> dict[str, Metrics]:
    """The main metrics of each source of data by itself, ready for JSON."""
    return {source: main_metrics(one) for source, one in evaluation.by_source().items()}


def main_metrics(evaluation: Evaluation) -> Metrics:
    """The metrics that a table shows, ready for JSON."""
    keys = ("cases", "mitoses", "max_f1", "max_f1_threshold", "f1_at_0.5", "f1_at_0.5_interval", "precision", "recall")
    return cast(Metrics, {key: value for key, value in summary(evaluation).items() if key in keys})


def reliability(evaluation: Evaluation) -> Reliability:
    """How many detections are mitoses, by score: on a good scale about the share that the score says."""
    scores, hits = (np.concatenate([getattr(f, key) for f in evaluation.frames]) for key in ("scores", "hits"))
    bins: Reliability = []
    for low, high in itertools.pairwise(paper.RELIABILITY_BINS):
        inside = (scores >= low) & (scores < high)
        bins.append(
            {"at_least": low, "below": high, "detections": int(inside.sum()), "mitoses": int(hits[inside].sum())}
        )
    return bins


def curve(evaluation: Evaluation) -> list[dict[str, float]]:
    """The precision-recall curve, from the highest threshold to the lowest, ready for JSON (Fig. 3c)."""
    return [
        {"threshold": round(threshold, 5), "precision": round(counts.precision, 4), "recall": round(counts.recall, 4)}
        for threshold, counts in evaluation.curve()
    ]


def _rounded(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(end, 4) for end in interval]
