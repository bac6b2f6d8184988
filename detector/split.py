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


def split_by_case(cases: Sequence[Case], held_out: Sequence[str]) -> tuple[list[Case], list[Case]]:
    """(training cases, held-out cases) by the names held out (section 4); a case is never in both.

    Raises ValueError where a held-out name is not among the cases.
    """
    names = {case.name for case in cases}
    if missing := sorted(set(held_out) - names):
        raise ValueError(f"no case is called {', '.join(missing)}; there are {', '.join(sorted(names))}")
    train = [case for case in cases if case.name not in held_out]
    return train, [case for case in cases if case.name in held_out]
