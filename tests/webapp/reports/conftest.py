from __future__ import annotations

import numpy as np
import pytest

# 3 x 2.4 mm at 2 um/px: a circle of 2 mm2 has a radius of 399 px. Eight figures in a row of 700 px, one far away.
CANDIDATES = [(400.0 + 80 * i, 500.0, 0.95 - i / 100) for i in range(8)] + [(1400.0, 1100.0, 0.9), (100, 100, 0.3)]


@pytest.fixture
def slide(alice, make_slide, make_run):
    picture = np.full((1200, 1500, 3), (225, 160, 190), np.uint8)
    slide = make_slide(mpp=2.0, image=picture, tissue_fraction=1.0)
    make_run(slide, CANDIDATES)
    return slide
