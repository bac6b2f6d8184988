"""Images without labels: whatever their size they can be mined, and never trained on as background."""

from __future__ import annotations

import pytest
from PIL import Image

from detector.datasets.unlabelled import read_unlabelled
from detector.errors import DataSetError
from detector.mine import mine_slide, mined_patch
from tests.drawing import DarkScorer, draw_tissue


def test_each_image_is_a_case_without_labels(tmp_path):
    for name, side in (("whole.png", 600), ("below/tile.jpg", 130)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(draw_tissue(side, side)).save(tmp_path / name)
    (tmp_path / "below/notes.txt").write_text("no image")
    cases = read_unlabelled(tmp_path)
    assert [case.name for case in cases] == ["below/tile", f"{tmp_path.name}/whole"]
    for case, side, source in zip(cases, (130, 600), ("below", tmp_path.name), strict=True):
        (frame,) = case.frames
        assert frame.image.shape == (side, side, 3)
        assert (frame.source, frame.mpp) == (source, 0.25)
        assert (len(frame.mitoses), len(frame.non_mitoses)) == (0, 0)
        assert not frame.exhaustive and not frame.rim_known


@pytest.mark.parametrize("side", [40, 128, 256, 500])
def test_tiles_smaller_than_a_window_are_mined(tmp_path, side):
    centre = (side / 2, side / 2)
    Image.fromarray(draw_tissue(side, side, mitoses=[centre])).save(tmp_path / "tile.png")
    ((frame,),) = (case.frames for case in read_unlabelled(tmp_path))
    samples, counters = mine_slide(DarkScorer(), frame.array_frame())
    assert counters.windows >= 1 and samples
    assert min(abs(one.x - centre[0]) + abs(one.y - centre[1]) for one in samples) < 12
    assert mined_patch(frame.array_frame(), centre, slide="tile").image.shape == (192, 192, 3)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(DataSetError, match="holds no image"):
        read_unlabelled(tmp_path)
    with pytest.raises(DataSetError, match="is not a folder"):
        read_unlabelled(tmp_path / "none")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataSetError, match="broken"):
        read_unlabelled(tmp_path)
