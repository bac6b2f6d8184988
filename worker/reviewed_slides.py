"""Slides that people read to the end, as labelled frames: the parts of them that hold judged figures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.frames import LabelledFrame, lab_statistics
from detector.slide import WorkingFrame
from webapp.annotations.models import Figure, Label
from webapp.slides.models import Slide
from worker.frames import working_frame

MOST_PARTS = 24  # of a slide, about 6 mm2; of more so many are drawn: each takes 12 MB, and is scored twice
UNKNOWN_SCANNER = "unknown scanner"

Box = tuple[int, int, int, int]  # left, top, right, bottom: px of the working frame


def read_slides(keys: Collection[str]) -> tuple[list[LabelledFrame], int]:
    """The labelled parts of slides (by primary key) that are still there, and of how many they were drawn."""
    frames, parts = [], 0
    slides = Slide.objects.filter(pk__in=keys, state=Slide.State.READY).select_related("case")
    for slide in slides.order_by("case__identifier", "name", "pk"):
        made, of = labelled_parts(slide)
        frames += made
        parts += of
    return frames, parts


def labelled_parts(slide: Slide) -> tuple[list[LabelledFrame], int]:
    """Parts of at most `paper.FRAME_SIZE` px a side at the working resolution that hold judged figures.

    Mitoses are the figures called mitotic, those that people added among them; all others, unsure ones too, are none.
    Of more than `MOST_PARTS` as many are drawn, always the same of a slide. The second number: before drawing.
    """
    rows = Figure.objects.filter(slide=slide).exclude(label=Label.OPEN).order_by("y", "x")
    judged = list(rows.values_list("x", "y", "label"))
    with working_frame(slide) as frame:
        w_xy = np.array([(x, y) for x, y, _ in judged], dtype=np.float64).reshape(-1, 2) / frame.scale
        mitotic = np.array([label == Label.MITOTIC for *_, label in judged], dtype=bool)
        boxes = [box for box in _grid(frame.size) if _inside(w_xy, box, frame.size).any()]
        drawn = sorted(boxes, key=lambda box: hashlib.sha256(f"{slide.sha256}:{box}".encode()).digest())[:MOST_PARTS]
        return [_labelled(slide, frame, box, w_xy, mitotic) for box in sorted(drawn)], len(boxes)


def _labelled(
    slide: Slide, frame: WorkingFrame, box: Box, w_xy: NDArray[np.float64], mitotic: NDArray[np.bool_]
) -> LabelledFrame:
    left, top, right, bottom = box
    image = frame.read(left, top, right - left, bottom - top)
    inside = _inside(w_xy, box, frame.size)
    return LabelledFrame(
        name=f"{slide.name}, {left}, {top}",
        case=slide.case.identifier,
        image=image,
        mitoses=w_xy[inside & mitotic] - (left, top),
        non_mitoses=w_xy[inside & ~mitotic] - (left, top),
        mpp=frame.mpp[0],
        stain=lab_statistics([image]),
        source=slide.scanner or UNKNOWN_SCANNER,
    )


def _grid(size: tuple[int, int]) -> list[Box]:
    """A frame cut into parts of about the same size, none larger than `paper.FRAME_SIZE`."""
    columns, rows = (
        np.linspace(0, side, math.ceil(side / paper.FRAME_SIZE) + 1).round().astype(int).tolist() for side in size
    )
    return [(left, top, right, bottom) for top, bottom in pairwise(rows) for left, right in pairwise(columns)]


def _inside(w_xy: NDArray[np.float64], box: Box, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points (n, 2) lie in a part; those on the last edge of the frame are in its last part."""
    clipped = np.clip(w_xy, 0, np.array(size) - 1e-6)
    return np.asarray(((clipped >= box[:2]) & (clipped < box[2:])).all(axis=1))
