"""An image under the eight flips and rotations, which a mitosis may have on any slide (3.2, test-time augmentation)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detector.frames import Rgb

TRANSFORMATIONS = (
    "identity",
    "turned by 90",
    "turned by 180",
    "turned by 270",
    "flipped",
    "flipped, turned by 90",
    "flipped, turned by 180",
    "flipped, turned by 270",
)


def flips_and_rotations(image: Rgb) -> Iterator[Rgb]:
    """The square image [s, s, 3] under each of `TRANSFORMATIONS`."""
    for flipped in (image, image[:, ::-1]):
        for quarters in range(4):
            yield np.ascontiguousarray(np.rot90(flipped, quarters))
