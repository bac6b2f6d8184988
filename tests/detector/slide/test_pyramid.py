from __future__ import annotations

import numpy as np
import pytest

from detector.slide import open_slide
from detector.slide.pyramid import write_pyramid


@pytest.mark.parametrize(("width", "height"), [(1300, 900), (700, 513), (256, 256), (31, 700), (1, 1)])
@pytest.mark.parametrize("mpp", [(0.2456, 0.25), None])
def test_deflate_keeps_every_pixel_and_the_scale(tmp_path, width, height, mpp):
    image = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path = tmp_path / "p.tif"
    asked = []

    def rows(top, bottom):
        asked.append((top, bottom))
        return image[top:bottom]

    write_pyramid(path, rows, (width, height), mpp, compression="deflate")
    assert asked == [(top, min(top + 256, height)) for top in range(0, height, 256)], "each row once, in order"
    with open_slide(path) as slide:
        assert slide.format == "generic-tiff"
        assert (slide.read(0, 0, 0, width, height) == image).all()
        assert slide.mpp == (pytest.approx(mpp) if mpp else None)
    assert not list(tmp_path.glob("*.partial"))


def test_levels_are_halves_averaged_from_the_one_above(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1024, 1600, 3), dtype=np.uint8)
    write_pyramid(tmp_path / "p.tif", lambda a, b: image[a:b], (1600, 1024), (0.25, 0.25), compression="deflate")
    with open_slide(tmp_path / "p.tif") as slide:
        assert slide.level_sizes == ((1600, 1024), (800, 512), (400, 256))
        means = image.reshape(512, 2, 800, 2, 3).astype(float).mean(axis=(1, 3))
        assert abs(slide.read(1, 0, 0, 800, 512) - means).max() <= 0.5


def test_jpeg_keeps_colours(tmp_path):
    image = np.zeros((600, 600, 3), dtype=np.uint8)
    image[:, :300], image[:, 300:] = (210, 120, 170), (90, 50, 130)
    write_pyramid(tmp_path / "p.tif", lambda a, b: image[a:b], (600, 600), (0.25, 0.25), compression="jpeg")
    with open_slide(tmp_path / "p.tif") as slide:
        assert abs(slide.read(0, 0, 0, 280, 600).astype(int) - (210, 120, 170)).max() <= 4
