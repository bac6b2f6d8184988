"""`make bench-skipped`: what is skipped as glass on real slides, and whether anything is found there.

Each slide is scanned three times by the shipped weights: without the windows that are glass by the slide's own glass,
without those that were glass by the fixed threshold of 0.2.0 (all of a block brighter than 220), and without leaving
any out. Printed are the windows that are looked at in one way and not in the other, and the detections of the full scan
that each way loses.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from detector import paper
from detector.detection import windows
from detector.detection.detect import detect
from detector.detection.scorer import Scorer
from detector.evaluation.metrics import match
from detector.model.checkpoint import SHIPPED_WEIGHTS, load_coarse, load_figure_scale, load_weights
from detector.slide import WorkingFrame, open_slide

FIXED = 220  # mean of R, G and B of a block from which it was glass in 0.2.0
SAME_PX = 0.5  # of the working resolution


def fixed_windows(frame: WorkingFrame) -> NDArray[np.bool_]:
    """Those that 0.2.0 skipped."""
    bright = frame.block_means(paper.GLASS_BLOCK).mean(axis=2) > FIXED
    return windows.glass_windows_of(bright, windows.map_size(frame))


def main() -> None:
    """Print a row for each slide."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slides", nargs="+", type=Path)
    network, _ = load_weights(SHIPPED_WEIGHTS)
    figures = load_figure_scale(SHIPPED_WEIGHTS)
    scorer = Scorer(network, coarse=load_coarse(SHIPPED_WEIGHTS), figures=figures, device="cpu")
    print("| slide | windows | skipped | by 0.2.0 | skipped now alone | then alone | found | lost now | lost then |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path in parser.parse_args().slides:
        with open_slide(path) as slide:
            assert slide.mpp is not None
            frame = WorkingFrame(slide, slide.mpp)
            now, then = windows.glass_windows(frame), fixed_windows(frame)
            found = []
            for glass in (np.zeros_like(now), now, then):
                with patch.object(windows, "glass_windows", lambda _, glass=glass: glass):
                    found.append(detect(scorer, frame, min_score=paper.SCORE_THRESHOLD))
        everything, *others = found
        total = len(everything.xy)
        lost = [total - match(everything.xy, everything.scores, one.xy, SAME_PX).sum() for one in others]
        alone = [_named(one) for one in (now & ~then, then & ~now)]
        cells = [path.name, now.size, now.sum(), then.sum(), *alone, total, *lost]
        print(f"| {' | '.join(map(str, cells))} |")


def _named(chosen: NDArray[np.bool_]) -> str:
    return ", ".join(f"{row}/{column}" for row, column in np.argwhere(chosen)) or "-"


if __name__ == "__main__":
    main()
