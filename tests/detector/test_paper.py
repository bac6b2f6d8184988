from __future__ import annotations

import re
from pathlib import Path

import pytest

import detector
from detector import paper

CONSTANTS = [name for name in vars(paper) if name.isupper()]


README = Path(detector.__file__).with_name("README.md").read_text("utf-8")


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_number_is_in_the_readme_with_its_value(name):
    said = [paragraph for paragraph in re.split(r"\n\n|\n(?=\|)", README) if re.search(rf"\b{name}\b", paragraph)]
    assert said, f"{name} is not named in detector/README.md"
    missing = [value for value in numbers(getattr(paper, name)) if not any(written(value, where) for where in said)]
    assert not missing, f"detector/README.md names {name} without {missing}"


def numbers(value):
    return [number for part in value for number in numbers(part)] if isinstance(value, tuple) else [value]


def written(value, where):
    forms = {f"{value:g}", f"{100 * value:g} %", f"{value / 1000:g}k", f"{value:.0e}".replace("e-0", "e-")}
    return any(re.search(rf"(?<![\d.]){re.escape(form)}(?![\d.]\d|\d)", where) for form in forms)


def test_the_numbers_that_are_printed_in_the_paper():
    assert len(CONSTANTS) > 25
    assert (paper.PATCH_SIZE, paper.BATCH_SIZE) == (128, 64)
    assert paper.FOREGROUND_PER_BATCH + paper.BACKGROUND_PER_BATCH == paper.BATCH_SIZE
    assert sum(count for count, _ in paper.LEARNING_RATE_STEPS) == 2 * paper.HARD_NEGATIVES_AT == 60_000
    assert (paper.WINDOW_SIZE, paper.MIRROR_PAD, paper.WINDOW_OVERLAP) == (512, 64, 120)
    assert (paper.HARD_NMS_RADIUS, paper.NMS_RADIUS, paper.MATCH_RADIUS) == (50, 30, 30)
    assert paper.SCORE_THRESHOLD == 0.5
