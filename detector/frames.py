"""Labelled frames (HPFs) grouped into cases, and patches cut from them: the input of training and evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
class LabelledFrame:
    """One labelled frame at the working resolution.

    image: uint8 [h, w, 3] RGB. mitoses, non_mitoses: float (n, 2), (x, y) in pixels of `image`, origin top left.
    exhaustive: every mitosis of the frame is labelled, so that background may be taken from it and a detection
    without a label counts as false. A patch around one known mitosis is not exhaustive. rim_known: of such a patch,
    whether other mitoses in it are labelled, so that its rim may be background; atypical: whether its mitosis is
    atypical, None where nobody said. A patch around a look-alike has one non-mitosis and no mitosis.
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
    atypical: bool | None = None

    @property
    def match_radius(self) -> float:
        """Matching radius of section 4, px of this frame: 7.5 um."""
        return paper.um(paper.MATCH_RADIUS) / self.mpp

    @property
    def mitosis_count(self) -> int:
        """Number of labelled mitoses in the data set's count; of a single patch, the one at its centre."""
        return len(self.mitoses) if self.exhaustive else min(1, len(self.mitoses))

    def array_frame(self) -> ArrayFrame:
        """The image as a `Frame` for detection."""
        return ArrayFrame(self.image, self.mpp, cut=True)


@dataclass(frozen=True)
class Case:
    """All frames of one patient; the unit by which data are split (section 4: "at case level")."""

    name: str
    frames: tuple[LabelledFrame, ...] = field(default=())


def points(rows: Iterable[Sequence[float]] = ()) -> Points:
    """(x, y) rows as a float array of shape (n, 2), also for none."""
    return np.asarray(list(rows), dtype=np.float64).reshape(-1, 2)


def lab_statistics(images: Iterable[Rgb]) -> LabStatistics:
    """LAB mean and standard deviation over the pixels of images uint8 [h, w, 3] of one stain (usually one HPF).

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


def cases_of(frames: Iterable[LabelledFrame]) -> list[Case]:
    """Frames grouped by case, in the order of the names."""
    groups: dict[str, list[LabelledFrame]] = {}
    for frame in frames:
        groups.setdefault(frame.case, []).append(frame)
    return [Case(name, tuple(groups[name])) for name in sorted(groups)]


def frames_by_source(cases: Iterable[Case]) -> dict[str, list[LabelledFrame]]:
    """The frames of each source of data, in the order of their names."""
    groups: dict[str, list[LabelledFrame]] = {}
    for case in cases:
        for frame in case.frames:
            groups.setdefault(frame.source, []).append(frame)
    return dict(sorted(groups.items()))


def cut_plain(image: Rgb, x: float, y: float) -> Rgb:
    """The patch uint8 [128, 128, 3] centred on the pixel corner nearest to (x, y), px of the image, not augmented."""
    middle = paper.PATCH_SIZE // 2
    return warp(image, np.array([[1.0, 0.0, round(x) - middle], [0.0, 1.0, round(y) - middle]]))


def warp(image: Rgb, matrix: NDArray[np.float64], size: int = paper.PATCH_SIZE) -> Rgb:
    """Patch uint8 [size, size, 3] whose pixel (u, v) is the image at matrix @ (u, v, 1); mirrored outside of it."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(patch, dtype=np.uint8)
