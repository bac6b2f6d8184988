"""The sample sets of Fig. 1a: BG-Rand, BG-Hard, FG-Lab and FG-WSI, as coordinates; pixels are cut later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector import paper
from detector.frames import LabelledFrame, Points, points


@dataclass(frozen=True)
class Sample:
    """A patch of one frame. x, y: its centre in px of the frame."""

    frame: LabelledFrame
    x: float
    y: float


def fg_lab(frames: Sequence[LabelledFrame]) -> list[Sample]:
    """FG-Lab: "patches centered at the annotated mitosis positions"; of a single patch, the mitosis at its centre."""
    return [
        Sample(frame, x, y) for frame in frames for x, y in (frame.mitoses if frame.exhaustive else _central(frame))
    ]


def bg_context(frame: LabelledFrame, rng: np.random.Generator) -> list[Sample]:
    """Background cut from a single patch, beside its mitosis (ours, not the paper's).

    None where it is not known which other mitoses the patch holds.
    """
    known = not frame.exhaustive and frame.rim_known and len(frame.mitoses)
    return sample_bg_rand(frame, rng, count=paper.CONTEXT_PER_PATCH) if known else []


def sample_bg_rand(
    frame: LabelledFrame,
    rng: np.random.Generator,
    *,
    count: int = paper.BG_RAND_PER_HPF,
    min_distance: float = paper.BG_MIN_DISTANCE,
) -> list[Sample]:
    """BG-Rand: "sampled randomly with uniform probability ... such that their distance is greater than a fixed
    threshold from previously selected background patches and all mitotic cells in that HPF".

    Up to `count` of them; fewer where the frame has no more room after `paper.BG_RAND_DRAWS` draws for each. None
    within `border_margin` of the border of a frame.
    """
    height, width = frame.image.shape[:2]
    from_border = border_margin(frame)
    if min(height, width) < 2 * from_border:
        return []
    taken = np.concatenate([frame.mitoses, np.full((count, 2), np.inf)])
    used = len(frame.mitoses)
    chosen = []
    low, high = (from_border, from_border), (width - from_border, height - from_border)
    for x, y in rng.uniform(low, high, (paper.BG_RAND_DRAWS * count, 2)):
        if ((taken[:used] - (x, y)) ** 2).sum(axis=1).min(initial=np.inf) > min_distance**2:
            taken[used] = x, y
            used += 1
            chosen.append(Sample(frame, float(x), float(y)))
            if len(chosen) == count:
                break
    return chosen


def bg_hard(frame: LabelledFrame, detections: Points) -> list[Sample]:
    """BG-Hard: "the false positive patches extracted by applying the model ... to training HPFs".

    detections: (n, 2) px of the frame, already suppressed at 50 px. Of single patches around a mitosis (ours, not the
    paper's) the look-alikes at the rim are taken, as far from every known mitosis as BG-Rand: they are what shows a
    network the many stains that it otherwise knows from mitoses alone. None within
    `border_margin` of the border of a frame.
    """
    size, from_border = np.array(frame.image.shape[1::-1]), border_margin(frame)
    radius = frame.match_radius if frame.exhaustive else paper.BG_MIN_DISTANCE
    inside = ((detections >= from_border) & (detections <= size - from_border)).all(axis=1)
    return [
        Sample(frame, x, y)
        for x, y in detections[inside]
        if ((frame.mitoses - (x, y)) ** 2).sum(axis=1).min(initial=np.inf) > radius**2
    ]


def border_margin(frame: LabelledFrame) -> float:
    """Least distance of background from the border of a frame, px: half a patch; 0 for a single patch.

    The labels of a contest leave out figures at the border (MITOS 2012: 1 of 226 within 32 px), and a patch there is
    half a mirror image, in which half a nucleus looks like a metaphase plate.
    """
    return paper.PATCH_SIZE / 2 if frame.exhaustive else 0.0


def fg_wsi(patches: Sequence[LabelledFrame]) -> list[Sample]:
    """FG-WSI: mined patches, each a non-exhaustive frame with the mined mitosis at its centre (3.2)."""
    return fg_lab(patches)


def _central(frame: LabelledFrame) -> Points:
    height, width = frame.image.shape[:2]
    return points([(width / 2, height / 2)] if len(frame.mitoses) else [])
