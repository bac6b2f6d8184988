"""The sample sets of Fig. 1a: BG-Rand, BG-Hard, FG-Lab and FG-WSI. They hold coordinates; pixels are cut later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector import paper
from detector.frames import Hpf, Points, points


@dataclass(frozen=True)
class Sample:
    """A patch of one frame. x, y: its centre in px of the frame."""

    hpf: Hpf
    x: float
    y: float


def fg_lab(hpfs: Sequence[Hpf]) -> list[Sample]:
    """FG-Lab: "patches centered at the annotated mitosis positions"; of a single patch, the mitosis at its centre."""
    return [Sample(hpf, x, y) for hpf in hpfs for x, y in (hpf.mitoses if hpf.exhaustive else _central(hpf))]


def sample_bg_rand(
    hpf: Hpf,
    rng: np.random.Generator,
    *,
    count: int = paper.BG_RAND_PER_HPF,
    min_distance: float = paper.BG_MIN_DISTANCE,
) -> list[Sample]:
    """BG-Rand: "sampled randomly with uniform probability ... such that their distance is greater than a fixed
    threshold from previously selected background patches and all mitotic cells in that HPF".

    Up to `count` of them; fewer where the frame has no more room after `paper.BG_RAND_DRAWS` draws for each.
    """
    height, width = hpf.image.shape[:2]
    taken = np.concatenate([hpf.mitoses, np.full((count, 2), np.inf)])
    used = len(hpf.mitoses)
    chosen = []
    for x, y in rng.uniform((0, 0), (width, height), (paper.BG_RAND_DRAWS * count, 2)):
        if ((taken[:used] - (x, y)) ** 2).sum(axis=1).min(initial=np.inf) > min_distance**2:
            taken[used] = x, y
            used += 1
            chosen.append(Sample(hpf, float(x), float(y)))
            if len(chosen) == count:
                break
    return chosen


def bg_hard(hpf: Hpf, detections: Points) -> list[Sample]:
    """BG-Hard: "the false positive patches extracted by applying the model ... to training HPFs".

    detections: (n, 2) px of the frame, already suppressed at 50 px. Of single patches around a mitosis (ours, not the
    paper's) the look-alikes at the rim are taken, as far from every known mitosis as BG-Rand: they are what shows a
    network the many stains that it otherwise knows from mitoses alone.
    """
    match_radius = paper.MATCH_RADIUS if hpf.exhaustive else paper.BG_MIN_DISTANCE
    false = [
        (x, y) for x, y in detections if ((hpf.mitoses - (x, y)) ** 2).sum(axis=1).min(initial=np.inf) > match_radius**2
    ]
    return [Sample(hpf, x, y) for x, y in false]


def fg_wsi(patches: Sequence[Hpf]) -> list[Sample]:
    """FG-WSI: mined patches, each a non-exhaustive frame with the mined mitosis at its centre (3.2)."""
    return fg_lab(patches)


def _central(hpf: Hpf) -> Points:
    height, width = hpf.image.shape[:2]
    return points([(width / 2, height / 2)])
