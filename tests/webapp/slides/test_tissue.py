"""Slides that an earlier version prepared get their tissue measured, once."""

from __future__ import annotations

import numpy as np
import pytest
from django.core.management import call_command

from tests.drawing import draw_tissue
from webapp.slides.storage import local_path, tissue_read


@pytest.fixture
def on_grey_glass(make_slide):
    picture = np.full((500, 640, 3), 229, np.uint8)
    picture[100:400, 120:520] = draw_tissue(400, 300)
    return make_slide(image=picture, mpp=8.0, tissue_fraction=1.0)


def test_the_tissue_of_earlier_slides_is_measured_once(on_grey_glass, make_slide, capsys):
    lost = make_slide()
    local_path(lost).unlink()
    assert tissue_read(on_grey_glass) is None
    call_command("measure_tissue")
    said = capsys.readouterr()
    assert "1 slides measured" in said.out and lost.name in said.err
    mask = tissue_read(on_grey_glass)
    assert mask.shape == (500, 640) and mask[110:390, 130:510].all() and not mask[:90].any()
    on_grey_glass.refresh_from_db()
    assert on_grey_glass.tissue_fraction == pytest.approx(400 * 300 / (500 * 640), rel=0.02)
    call_command("measure_tissue")
    assert "0 slides measured" in capsys.readouterr().out
