from __future__ import annotations

import re
from pathlib import Path

import pytest

import detector
from detector import paper

CONSTANTS = [name for name in vars(paper) if name.isupper()]


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_number_is_in_the_readme(name):
    readme = Path(detector.__file__).with_name("README.md").read_text("utf-8")
    assert re.search(rf"\b{name}\b", readme), f"{name} is not named in detector/README.md"


def test_the_numbers_that_are_printed_in_the_paper():
    assert len(CONSTANTS) > 25
    assert (paper.PATCH_SIZE, paper.BATCH_SIZE) == (128, 64)
    assert paper.FOREGROUND_PER_BATCH + paper.BACKGROUND_PER_BATCH == paper.BATCH_SIZE
    assert sum(count for count, _ in paper.LEARNING_RATE_STEPS) == 2 * paper.HARD_NEGATIVES_AT == 60_000
    assert (paper.WINDOW_SIZE, paper.MIRROR_PAD, paper.WINDOW_OVERLAP) == (512, 64, 120)
    assert (paper.HARD_NMS_RADIUS, paper.NMS_RADIUS, paper.MATCH_RADIUS) == (50, 30, 30)
    assert paper.SCORE_THRESHOLD == 0.5
