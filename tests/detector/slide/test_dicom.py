"""DICOM slides, drawn: read whatever stores them, refused where there is not one picture in colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from detector.errors import SlideError
from detector.slide.prepare import prepare
from detector.slide.reader import open_slide
from tests.drawing import draw_tissue
from tests.resilience.dicom_files import SYNTAXES, dicom_zip, level

IMAGE = draw_tissue(560, 420)
HALF = cv2.resize(IMAGE, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
LABEL = np.full((128, 128, 3), (20, 200, 40), np.uint8)


@pytest.mark.parametrize("how", SYNTAXES)
@pytest.mark.parametrize("sparse", [False, True])
def test_a_slide_of_several_instances_is_one(tmp_path, how, sparse):
    label = level(LABEL, None, kind="LABEL", number=3, tile=128)
    half = level(HALF, 0.5, how=how, sparse=sparse, number=2)
    dicom_zip(label, half, level(IMAGE, 0.25, how=how, sparse=sparse))(tmp_path / "s.zip")
    facts = prepare(tmp_path / "s.zip", tmp_path)
    assert (facts.width, facts.height, facts.mpp, facts.scanner) == (560, 420, (0.25, 0.25), "Drawn One")
    with open_slide(tmp_path / facts.path) as slide:
        assert slide.level_sizes == ((560, 420), (280, 210))
        off = np.abs(slide.read(0, 0, 0, 560, 420).astype(int) - IMAGE)
        assert off.max() <= (60 if how == "jpeg" else 0) and off.mean() < 4
        assert np.abs(slide.associated("label").astype(int) - LABEL).max() < 4


@pytest.mark.parametrize(
    ("instances", "said"),
    [
        ([level(IMAGE, 0.25, planes=3)], "it has 3 focal planes"),
        ([level(IMAGE, 0.25, paths=2)], "It has 2 optical paths"),
        ([level(IMAGE[..., 0], 0.25, how="native")], "it is grey"),
        ([level(IMAGE, 0.25), level(np.ascontiguousarray(HALF[::-1]), 0.5, number=2)], "do not show one picture"),
        ([level(IMAGE, 0.25), level(HALF, 0.5, SeriesInstanceUID="1.2.3")], "This zip holds 2 slides"),
        ([level(LABEL, None, kind="LABEL", tile=128)], "it holds no picture of a slide"),
    ],
)
def test_what_is_not_one_picture_in_colour_is_refused_for_that(tmp_path, instances, said):
    dicom_zip(*instances)(tmp_path / "s.zip")
    with pytest.raises(SlideError) as refused:
        prepare(tmp_path / "s.zip", tmp_path)
    assert said in refused.value.reason
    assert str(tmp_path) not in refused.value.reason
