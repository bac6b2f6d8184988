"""Slides whose tissue, figures, count, density, hotspot and score are known, of every kind of glass and tissue."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tests.tissue_pictures import tissue_picture

MPP = 5.0  # um per px: an overview of 1,024 x 768 px is a slide of 5.1 x 3.8 mm
KNOWN_SLIDES = (
    "white glass", "pure white glass", "grey glass 229", "grey glass 205", "tinted glass", "yellow glass",
    "bluish glass", "pinkish glass", "brightness gradient", "vignetting", "noisy sensor", "thick dark section",
    "faint tissue", "fat", "tissue microarray", "needle biopsies", "frozen section", "black scan gaps", "pen marks",
    "coverslip edge",
)  # fmt: skip
GRADIENTS = ("brightness gradient", "vignetting")
_FIGURES, _ON_GLASS = 60, 15


@dataclass(frozen=True, eq=False)
class KnownSlide:
    """pixels: uint8 [h, w, 3]. tissue: the truth [h, w]. candidates: (x, y, score), px. counted: those on tissue."""

    name: str
    pixels: np.ndarray
    tissue: np.ndarray
    candidates: list[tuple[float, float, float]]
    counted: np.ndarray

    @property
    def mm2(self) -> float:
        """Of tissue."""
        return float(self.tissue.sum()) * (MPP / 1000) ** 2

    def near(self, x: float, y: float, reach_mm: float) -> tuple[int, float]:
        """Figures on tissue, and mm2 of it, in a circle."""
        far = reach_mm * 1000 / MPP
        inside = int((np.hypot(*(self.counted - (x, y)).T) <= far + 1e-6).sum())
        rows, columns = np.ogrid[: self.tissue.shape[0], : self.tissue.shape[1]]
        held = self.tissue & (np.hypot(columns + 0.5 - x, rows + 0.5 - y) <= far)
        return inside, float(held.sum()) * (MPP / 1000) ** 2


def known_slide(name: str) -> KnownSlide:
    """Figures lie well inside tissue, in part in a cluster, and what is no figure well outside."""
    picture = tissue_picture(name)
    tissue = picture.tissue
    rng = np.random.default_rng(len(name))
    inside = _places(rng, cv2.erode(tissue.astype(np.uint8), np.ones((13, 13))), _FIGURES)
    outside = _places(rng, cv2.erode((~tissue).astype(np.uint8), np.ones((41, 41))), _ON_GLASS)
    candidates = [(x, y, 0.5 + 0.4 * float(rng.random())) for x, y in [*inside, *outside]]
    below = [(x + 3.0, y, 0.4) for x, y in inside[:5]]
    return KnownSlide(name, picture.pixels, tissue, candidates + below, inside)


def _places(rng: np.random.Generator, mask: np.ndarray, most: int) -> np.ndarray:
    """Middles of pixels of a mask, a half of them near one place."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return np.empty((0, 2))
    at = np.stack([columns, rows], axis=-1) + 0.5
    middle = at[rng.integers(len(at))]
    near = at[np.hypot(*(at - middle).T) < 120]
    some = [near[rng.integers(len(near), size=most // 2)], at[rng.integers(len(at), size=most - most // 2)]]
    return np.unique(np.concatenate(some), axis=0)
