"""A labelled frame (HPF) and the case it belongs to: what training and evaluation are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.slide import ArrayFrame

Rgb = NDArray[np.uint8]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class LabStatistics:
    """Mean and standard deviation of the three LAB channels (8-bit OpenCV scale), as contrast transfer needs them."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


@dataclass(frozen=True)
class Hpf:
    """One labelled frame at the working resolution.

    image: uint8 [h, w, 3] RGB. mitoses, non_mitoses: float (n, 2), (x, y) in pixels of `image`, origin top left.
    exhaustive: every mitosis of the frame is labelled, so that background may be taken from it and a detection
    without a label counts as false. A patch around one known mitosis is not exhaustive. rim_known: of such a patch,
    whether other mitoses in it are labelled, so that its rim may be background. A patch around a look-alike has one
    non-mitosis and no mitosis.
    """

    name: str
    case: str
    image: Rgb
    mitoses: Points
    non_mitoses: Points
    mpp: float
    stain: LabStatistics
    source: str
    exhaustive: bool = True
    rim_known: bool = True

    @property
    def match_radius(self) -> float:
        """Within which a detection and a label are one figure (section 4), px of this frame: 7.5 um."""
        return paper.MATCH_RADIUS * paper.WORKING_MPP / self.mpp

    def frame(self) -> ArrayFrame:
        """The image as the testing code reads it."""
        return ArrayFrame(self.image, self.mpp)


@dataclass(frozen=True)
class Case:
    """All frames of one patient; the unit by which data are split (section 4: "at case level")."""

    name: str
    hpfs: tuple[Hpf, ...] = field(default=())


def points(rows: Iterable[Sequence[float]] = ()) -> Points:
    """(x, y) rows as a float array of shape (n, 2), also for none."""
    return np.asarray(list(rows), dtype=np.float64).reshape(-1, 2)


def lab_statistics(images: Iterable[Rgb]) -> LabStatistics:
    """LAB mean and standard deviation over all pixels of some images of one stain (usually one HPF).

    Pure black pixels are padding, not tissue, and are left out.
    """
    total, square, count = np.zeros(3), np.zeros(3), 0
    for image in images:
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(-1, 3)[::7].astype(np.float64)
        lab = lab[lab[:, 0] > 0]
        total += lab.sum(axis=0)
        square += (lab**2).sum(axis=0)
        count += len(lab)
    mean = total / max(count, 1)
    deviation = np.sqrt(np.maximum(square / max(count, 1) - mean**2, 0.0))
    return LabStatistics((mean[0], mean[1], mean[2]), (deviation[0], deviation[1], deviation[2]))


def cases_of(hpfs: Iterable[Hpf]) -> list[Case]:
    """Frames grouped by case, in the order of the names."""
    groups: dict[str, list[Hpf]] = {}
    for hpf in hpfs:
        groups.setdefault(hpf.case, []).append(hpf)
    return [Case(name, tuple(groups[name])) for name in sorted(groups)]


def validation_cases(names: Iterable[str], seed: int, share: float = paper.VALIDATION_SHARE) -> list[str]:
    """The share of some cases that is drawn to judge on (section 4: 80 % train, 20 % validation, at case level).

    Drawn by the seed, whatever the order of the names; at least one, but none of fewer than two.
    """
    drawn = sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    return sorted(drawn[: max(1, round(share * len(drawn)))]) if len(drawn) > 1 else []


def split_by_case(cases: Sequence[Case], held_out: Sequence[str]) -> tuple[list[Case], list[Case]]:
    """Cases to train on and cases to judge on (section 4); a case is never on both sides.

    Raises ValueError where a held-out name is not among the cases.
    """
    names = {case.name for case in cases}
    if missing := sorted(set(held_out) - names):
        raise ValueError(f"no case is called {', '.join(missing)}; there are {', '.join(sorted(names))}")
    train = [case for case in cases if case.name not in held_out]
    return train, [case for case in cases if case.name in held_out]


def describe(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Sources of some cases with their counts, for a card."""
    described = []
    for source in sorted({hpf.source for case in cases for hpf in case.hpfs}):
        hpfs = [hpf for case in cases for hpf in case.hpfs if hpf.source == source]
        names = sorted({hpf.case for hpf in hpfs})
        look_alikes = sum(len(hpf.non_mitoses) for hpf in hpfs)
        described.append(
            {
                "source": source,
                "cases": len(names),
                "case_names": names if len(names) <= 20 else [*names[:3], "..."],
                "frames": len(hpfs),
                "mitoses": sum(len(hpf.mitoses) if hpf.exhaustive else min(1, len(hpf.mitoses)) for hpf in hpfs),
                **({"look_alikes": look_alikes} if look_alikes else {}),
            }
        )
    return described


def cases_learnt(card: dict[str, Any]) -> set[str]:
    """Names of all cases that weights with this card, and those that they began with, have learnt from.

    Cards from before `cases_learnt` was kept go one parent back, and name three of many cases.
    """
    parts = [*(card.get("data") or []), *((card.get("parent") or {}).get("data") or [])]
    named = {name for part in parts for name in part.get("case_names") or []} - {"..."}
    return named | set(card.get("cases_learnt") or [])
