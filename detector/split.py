"""Splitting by case: a patient is never on both sides (section 4). No torch: the web draws locked cases with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from detector import paper
from detector.frames import Case


def validation_cases(names: Iterable[str], seed: int, share: float = paper.VALIDATION_SHARE) -> list[str]:
    """Names of the validation cases (section 4: 80 % train, 20 % validation, at case level).

    Drawn by the seed, independent of the order of the names; at least one, but none of fewer than two.
    """
    drawn = sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    return sorted(drawn[: max(1, round(share * len(drawn)))]) if len(drawn) > 1 else []


def rotated_cases(names: Iterable[str], seed: int, share: float = paper.VALIDATION_SHARE) -> list[str]:
    """Names of the cases held out for a seed from 1 up (section 4: 20 %): every fifth, beginning one later each time.

    Seeds 1 to 5 together hold out each case once; of fewer than five cases, one each (open in the paper, which holds
    out the same ones always; chosen because an F1 on few cases says little). Raises ValueError with fewer than two.
    """
    ordered = sorted(set(names))
    if len(ordered) < 2:
        raise ValueError(f"two cases are needed to hold one out, not {len(ordered)}")
    folds = min(round(1 / share), len(ordered))
    return ordered[(seed - 1) % folds :: folds]


def evaluable_cases(cases: Iterable[Case]) -> list[str]:
    """Names of the cases with mitoses, all of them labelled: those that a detector can be tested on."""
    return [case.name for case in cases if any(frame.exhaustive and len(frame.mitoses) for frame in case.frames)]


def split_by_case(cases: Sequence[Case], held_out: Sequence[str]) -> tuple[list[Case], list[Case]]:
    """(training cases, held-out cases) by the names held out (section 4); a case is never in both.

    Raises ValueError where a held-out name is not among the cases.
    """
    names = {case.name for case in cases}
    if missing := sorted(set(held_out) - names):
        raise ValueError(f"no case is called {', '.join(missing)}; there are {', '.join(sorted(names))}")
    train = [case for case in cases if case.name not in held_out]
    return train, [case for case in cases if case.name in held_out]
