from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.__main__ import main
from detector.detection.detect import detect
from detector.detection.scorer import Scorer
from detector.errors import DataSetError
from detector.mine import (
    TRANSFORMATIONS,
    flips_and_rotations,
    mine_slide,
    mined_patch,
    mined_to_json,
    reaches_consensus,
    read_mined,
    transformed_scores,
    write_mined,
)
from detector.slide import ArrayFrame
from tests.drawing import DarkScorer, draw_glass, draw_tissue, write_pyramid

FIGURES = np.array([(120, 110), (400, 150.5), (640, 420), (200, 500), (520, 640)])


class ShadedScorer(DarkScorer):
    """Doubts whatever lies in an image that is darker at its top than at its bottom."""

    def logits(self, image):
        half = len(image) // 2
        darker_at_top = image[:half].mean() < image[half:].mean() - 6
        return super().logits(image) - (20 if darker_at_top and len(image) < 200 else 0)


@pytest.fixture(scope="module")
def frame():
    image = draw_glass(2000, 1000)
    image[:760, :760] = draw_tissue(760, 760, mitoses=FIGURES)
    return ArrayFrame(image)


def test_every_figure_is_mined_once_and_every_window_and_candidate_is_accounted_for(frame):
    samples, counters = mine_slide(DarkScorer(), frame)
    found = np.array([(s.x, s.y) for s in samples])
    nearest = np.hypot(*(found[:, None] - FIGURES[None]).transpose(2, 0, 1))
    assert len(samples) == len(FIGURES) and (nearest.min(axis=0) < 8).all() and (nearest.min(axis=1) < 8).all()
    assert all(len(s.scores) == 8 for s in samples)
    assert min(samples[0].scores) == max(min(s.scores) for s in samples), "surest first"
    assert counters.windows == 6 * 3 and counters.bright > 0
    assert counters.candidates == counters.disagreed + counters.mined == len(FIGURES)
    assert 0 < counters.windows - counters.bright - counters.nothing_at_first <= len(FIGURES)


def test_windows_in_which_the_first_transformation_finds_nothing_are_counted(frame):
    samples, counters = mine_slide(DarkScorer(), ArrayFrame(draw_tissue(900, 900, mitoses=[])), prefilter_score=0.999)
    assert (samples, counters.candidates) == ([], 0)
    assert counters.nothing_at_first == counters.windows - counters.bright == 9


def test_what_one_transformation_doubts_is_not_mined():
    image = draw_tissue(700, 700, mitoses=[(200, 200), (500, 500)])
    shade = np.ones((700, 1, 1))
    shade[:200] = 0.85  # above the first figure, so that it is darker at the top than at the bottom
    shaded = ArrayFrame((image * shade).astype(np.uint8))
    samples, counters = mine_slide(ShadedScorer(), shaded)
    assert [round(s.x, -2) for s in samples] == [500]
    assert (counters.candidates, counters.disagreed) == (2, 1)
    assert sum(score < 0.5 for score in transformed_scores(ShadedScorer(), shaded, (200, 200))) == 2


def test_the_first_transformation_scores_as_the_detector_does(frame):
    found = detect(DarkScorer(), frame)
    assert len(found.xy) == len(FIGURES)
    for xy, score in zip(found.xy, found.scores, strict=True):
        assert transformed_scores(DarkScorer(), frame, xy)[0] == pytest.approx(score)


def test_the_eight_transformations_of_a_network_are_those_of_the_slide(network):
    """Turning the slide permutes the eight scores, as each is the score of the same pixels."""
    image = draw_tissue(400, 400, mitoses=[(200, 200)])
    scorer = Scorer(network, precision="fp32")
    straight = transformed_scores(scorer, ArrayFrame(image), (200, 200))
    turned = transformed_scores(scorer, ArrayFrame(np.ascontiguousarray(np.rot90(image))), (200, 200))
    assert len(set(np.round(straight, 6))) == 8
    assert sorted(turned) == pytest.approx(sorted(straight), abs=1e-5)


def test_the_eight_transformations_are_all_different_and_keep_every_pixel():
    image = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    all_eight = list(flips_and_rotations(image))
    assert len({turned.tobytes() for turned in all_eight}) == len(TRANSFORMATIONS) == 8
    assert len({np.sort(turned.reshape(-1, 3), axis=0).tobytes() for turned in all_eight}) == 1


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), st.floats(0.01, 0.99))
def test_one_low_score_is_enough_to_disagree(scores, tta_consensus):
    assert reaches_consensus(scores, tta_consensus) == all(score >= tta_consensus for score in scores)


def test_mined_patches_come_back_as_they_were_written(frame, tmp_path):
    samples, counters = mine_slide(DarkScorer(), frame)
    patches = [mined_patch(frame, (sample.x, sample.y), slide="one") for sample in samples]
    write_mined(tmp_path, [mined_to_json("one.tif", samples, counters)], patches, parameters={"agreement": 0.8})
    for before, after in zip(patches, read_mined(tmp_path), strict=True):
        assert np.array_equal(before.image, after.image) and after.image.shape == (192, 192, 3)
        assert (after.name, after.case, after.mpp, after.exhaustive) == (before.name, "one", before.mpp, False)
        assert after.stain.mean == pytest.approx(before.stain.mean)
        assert after.mitoses.tolist() == [[96, 96]]
        assert after.image[92:100, 92:100].mean() < after.image.mean() - 40, "the figure is in the middle"


@pytest.mark.parametrize(("prefilter_score", "tta_consensus"), [(0, 0.8), (0.5, 1), (-1, 0.5)])
def test_impossible_scores_are_refused(frame, prefilter_score, tta_consensus):
    with pytest.raises(ValueError, match="between 0 and 1"):
        mine_slide(DarkScorer(), frame, prefilter_score=prefilter_score, tta_consensus=tta_consensus)


@pytest.mark.parametrize(
    "content", [None, "no json", "{}", '{"patches": [{"name": "a"}]}', '{"patches": [{"name": "a", "stain": 3}]}']
)
def test_a_folder_that_mine_did_not_write_is_refused(content, tmp_path):
    if content is not None:
        (tmp_path / "mined.json").write_text(content)
    with pytest.raises(DataSetError, match="mine"):
        read_mined(tmp_path)


def test_a_missing_patch_is_named(frame, tmp_path):
    samples, counters = mine_slide(DarkScorer(), frame)
    patches = [mined_patch(frame, (sample.x, sample.y), slide="one") for sample in samples]
    write_mined(tmp_path, [mined_to_json("one.tif", samples, counters)], patches)
    (tmp_path / "patches" / f"{patches[2].name}.png").unlink()
    with pytest.raises(DataSetError, match=patches[2].name):
        read_mined(tmp_path)


def test_the_command_mines_a_slide(frame, tmp_path, capsys):
    slide = write_pyramid(tmp_path / "slide.tif", frame.read(0, 0, *frame.size), mpp=0.25)
    assert main(["mine", str(slide), "--out", str(tmp_path / "out"), "--precision", "fp32", "--agreement", "0.01"]) == 0
    content = json.loads((tmp_path / "out" / "mined.json").read_text())
    counters = content["slides"][0]["counters"]
    assert counters["windows"] == 18 and counters["mined"] == len(content["patches"])
    assert content["parameters"]["agreement"] == 0.01 and content["model"]["sha256"]
    assert len(read_mined(tmp_path / "out")) == counters["mined"]


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(["mine", str(tmp_path / "none.svs"), "--out", str(tmp_path / "out")]) == 2
    assert "none.svs" in capsys.readouterr().err


def test_a_bad_slide_does_not_lose_what_was_mined_before_it(frame, tmp_path, capsys):
    slide = write_pyramid(tmp_path / "slide.tif", frame.read(0, 0, 512, 512), mpp=0.25)
    assert main(["mine", str(slide), str(tmp_path / "none.svs"), "--out", str(tmp_path / "out")]) == 2
    content = json.loads((tmp_path / "out" / "mined.json").read_text())
    assert [one["slide"] for one in content["slides"]] == ["slide.tif"]
