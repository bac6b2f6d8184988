from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

import detector
from detector import paper

CONSTANTS = [name for name in vars(paper) if name.isupper()]


README = Path(detector.__file__).with_name("README.md").read_text("utf-8")


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_number_is_in_the_readme_with_its_value(name):
    values = [where for where in map(partial(value_beside, name), README.splitlines()) if where is not None]
    assert values, f"detector/README.md does not name {name} with a value"
    wanted = numbers(getattr(paper, name))
    assert any(all(written(value, where) for value in wanted) for where in values), f"{name} is {wanted}, not {values}"


def value_beside(name, line):
    """What a line says right after the name; in a row of the table, of the names before it, its own part."""
    if line.startswith("|"):
        names, values, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        names = re.findall(r"`(\w+)`", names)
        if name not in names:
            return None
        parts = re.split(r", (?![^()]*\))", values)
        return parts[names.index(name)] if len(parts) == len(names) > 1 else values
    after = re.search(rf"`{name}` ([^`,]*)", line)
    return after[1] if after else None


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
