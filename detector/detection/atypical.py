"""How likely a mitosis is atypical: by a network of its own (`detector.training.atypical`), as figures are scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.detection.scorer import Scorer, sigmoid
from detector.frames import Rgb
from detector.slide import WorkingFrame


def atypical_probabilities(scorer: Scorer, patches: Sequence[Rgb]) -> NDArray[np.float64]:
    """(n,) in 0..1, by the mean logit over the eight flips and rotations.

    scorer: of the network for atypical mitoses. patches: uint8 [128, 128, 3] at the working resolution, the mitosis at
    the centre.
    """
    return sigmoid(scorer.figure_logits(patches).astype(np.float64))


def atypical_on_slide(scorer: Scorer, frame: WorkingFrame, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same of the mitoses at (n, 2) level-0 px of a slide."""
    half, side = paper.PATCH_SIZE // 2, paper.PATCH_SIZE
    corners = np.rint(xy.reshape(-1, 2) / frame.scale).astype(int) - half
    return atypical_probabilities(scorer, [frame.read(x, y, side, side) for x, y in corners.tolist()])
