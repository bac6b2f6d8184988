"""Several trainings of one plan, each from its own seed: means over them, and the interval of a paired difference.

A row of Table 1 is one number in the paper. Here it is the mean over seeds of the F1 of each seed's detector on its
own test cases, at its own best threshold (max F1) or at 0.5 (open in the paper; chosen because scores of two trainings
need not mean the same, so pooling them at one threshold would measure that as well).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.evaluation.metrics import Evaluation

KEYS = ("f1", "max_f1")  # F1 at 0.5, and at the best threshold


def f1_of(evaluation: Evaluation) -> tuple[float, float]:
    """(F1 at 0.5, max F1) over all cases of an evaluation."""
    return evaluation.counts().f1, evaluation.max_f1()[0]


def paired_intervals_over_seeds(
    first: Sequence[Evaluation], second: Sequence[Evaluation], *, draws: int = paper.BOOTSTRAP_DRAWS, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Paired bootstrap of the mean over seeds of first - second: (difference, low, high) of a 95 % interval for `KEYS`.

    first, second: one evaluation for each seed, in one order; those of one seed hold the same cases. What is drawn with
    replacement, for both sides alike (open in the paper, which gives no intervals):

    - Where all seeds are tested on the same cases, seeds and, apart from them, cases; drawn cases are the same for
      every drawn seed, as a hard case is hard for each of them.
    - Where test cases rotate, groups of seeds that share theirs, together with these cases: seed and cases of one group
      cannot be told apart, and to draw cases once more would count their spread twice.

    With one seed: cases alone, as in `paired_intervals`. With one group of one case the interval is a point and says
    nothing. All 0 without seeds or cases. Raises ValueError where the sides hold other seeds or cases.
    """
    groups = _groups(first, second)
    if not groups or () in groups:
        return dict.fromkeys(KEYS, (0.0, 0.0, 0.0))
    difference = np.array([np.subtract(f1_of(a), f1_of(b)) for a, b in zip(first, second, strict=True)])  # (seeds, 2)
    rng = np.random.default_rng(seed)
    if len(groups) == 1:
        drawn = _draw_seeds_and_cases(first, second, next(iter(groups)), rng, draws)
    else:
        members = [difference[indices] for indices in groups.values()]
        chosen = rng.integers(len(members), size=(draws, len(members)))
        drawn = np.array([np.concatenate([members[index] for index in one]).mean(axis=0) for one in chosen])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    value = difference.mean(axis=0)
    return {key: (float(value[i]), float(low[i]), float(high[i])) for i, key in enumerate(KEYS)}


def _groups(first: Sequence[Evaluation], second: Sequence[Evaluation]) -> dict[tuple[str, ...], list[int]]:
    """Indices of the seeds that were tested on the same cases, by the names of these."""
    names = [[tuple(sorted({frame.case for frame in one.frames})) for one in side] for side in (first, second)]
    if names[0] != names[1]:
        raise ValueError("only evaluations of the same seeds on the same cases can be paired")
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, cases in enumerate(names[0]):
        groups.setdefault(cases, []).append(index)
    return groups


def _draw_seeds_and_cases(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    names: Sequence[str],
    rng: np.random.Generator,
    draws: int,
) -> NDArray[np.float64]:
    """(draws, 2) mean differences of drawn seeds on drawn cases."""
    case_times = np.zeros((draws, len(names)), dtype=np.int64)
    seed_times = np.ones((draws, len(first)))
    for draw in range(draws):
        case_times[draw] = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        if len(first) > 1:
            seed_times[draw] = np.bincount(rng.integers(len(first), size=len(first)), minlength=len(first))
    differences = [
        _f1_of_draws(a, names, case_times) - _f1_of_draws(b, names, case_times)
        for a, b in zip(first, second, strict=True)
    ]
    return np.average(np.stack(differences, axis=1), axis=1, weights=seed_times[..., None].repeat(len(KEYS), axis=2))


def _f1_of_draws(evaluation: Evaluation, names: Sequence[str], times: NDArray[np.int64]) -> NDArray[np.float64]:
    """(draws, 2): `f1_of` the evaluation with each case as often as it was drawn. times: (draws, cases)."""
    pooled = [evaluation.pooled(name) for name in names]
    scores, hits = (np.concatenate([getattr(one, key) for one in pooled]) for key in ("scores", "hits"))
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], hits[order]
    case = np.repeat(np.arange(len(names)), [len(one.scores) for one in pooled])[order]
    truths = times @ np.array([one.truths for one in pooled])  # (draws,)
    # Of the first n detections: column n.
    found = np.pad(times[:, case].cumsum(axis=1), ((0, 0), (1, 0)))
    right = np.pad((times[:, case] * hits).cumsum(axis=1), ((0, 0), (1, 0)))
    f1 = 2 * right / np.maximum(found + truths[:, None], 1)
    f1[(found + truths[:, None]) == 0] = 1.0  # nothing to find and nothing found
    ends = np.flatnonzero(np.append(True, np.append(scores[1:] != scores[:-1], True)[: len(scores)]))
    at_half = int((scores >= paper.SCORE_THRESHOLD).sum())
    return np.stack([f1[:, at_half], f1[:, ends].max(axis=1)], axis=1)
