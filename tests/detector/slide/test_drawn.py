from __future__ import annotations

import numpy as np
import pytest

from detector.slide import open_slide
from detector.slide.drawn import DESCRIPTION, draw_slide, figure_positions

SIZE, FIGURES = 1536, 5


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    path = tmp_path_factory.mktemp("drawn") / "slide.tif"
    return path, draw_slide(path, size=SIZE, figures=FIGURES)


def test_it_opens_as_a_pyramid_at_a_quarter_of_a_micrometre_and_says_that_it_is_drawn(drawn):
    with open_slide(drawn[0]) as slide:
        assert slide.size == (SIZE, SIZE)
        assert slide.mpp == pytest.approx((0.25, 0.25))
        assert len(slide.level_sizes) > 1
        assert DESCRIPTION in slide.properties["tiff.ImageDescription"]


def test_the_figures_are_where_it_says_darker_than_all_around(drawn):
    path, figures = drawn
    assert len(figures) == FIGURES
    assert (figures == figure_positions(SIZE, FIGURES)).all()
    with open_slide(path) as slide:
        for x, y in figures.astype(int):
            figure = slide.read(0, x - 24, y - 24, 48, 48).mean(axis=2)
            around = slide.read(0, x - 70, y - 70, 140, 140).mean(axis=2)
            assert figure.min() < 80
            assert np.median(around) > 120


def test_there_is_glass_around_the_tissue(drawn):
    with open_slide(drawn[0]) as slide:
        rim = np.concatenate([slide.read(0, 0, 0, SIZE, 20), slide.read(0, 0, SIZE - 20, SIZE, 20)])
        assert rim.mean() > 235
        assert slide.read(0, 0, 0, SIZE, SIZE).mean() < 235


def test_the_same_seed_gives_the_same_slide_and_another_seed_another(drawn, tmp_path):
    path, figures = drawn
    again = draw_slide(tmp_path / "again.tif", size=SIZE, figures=FIGURES)
    with open_slide(path) as one, open_slide(tmp_path / "again.tif") as two:
        assert (one.read(0, 0, 0, SIZE, SIZE) == two.read(0, 0, 0, SIZE, SIZE)).all()
    assert (again == figures).all()
    assert not np.array_equal(figure_positions(SIZE, FIGURES, seed=2), figures)
