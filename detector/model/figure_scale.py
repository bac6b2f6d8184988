"""How the mean logit of a figure becomes its score: one scale for all laboratories, set by calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector import paper

_LEAST = 1e-9  # of a score, which has log odds then


@dataclass(frozen=True)
class FigureScale:
    """The score of a figure is sigmoid(scale * mean + shift); mean: its mean logit (`Scorer.figure_logits`).

    Stored in the file of weights. Before calibration, and in files of 0.2.0, the default holds.
    """

    scale: float = 1.0
    shift: float = paper.FIGURE_SHIFT

    def means(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean logits of figures with these scores in (0, 1)."""
        kept = np.clip(scores, _LEAST, 1 - _LEAST)
        return np.asarray((np.log(kept / (1 - kept)) - self.shift) / self.scale)

    def scores(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of figures with these mean logits."""
        return np.asarray(1 / (1 + np.exp(-(self.scale * means + self.shift))))

    def logits(self, means: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log odds of the scores of figures with these mean logits."""
        return np.asarray(self.scale * means + self.shift, dtype=np.float32)
