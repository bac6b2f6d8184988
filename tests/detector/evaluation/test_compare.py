"""A candidate against another detector: better, worse or not to be told, by the stated rule, on paired cases."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from detector import paper
from detector.evaluation.compare import MitosisFreeSlide, compare_detectors, decide, more_false_alarms
from detector.evaluation.metrics import Evaluation, MatchedFrame, paired_intervals
from detector.frames import cases_of, points
from detector.slide import WorkingFrame, open_slide
from detector.slide.pyramid import write_pyramid
from tests.drawing import DarkScorer, draw_hpf, draw_tissue

CASES = cases_of(
    [
        *(draw_hpf(f"A0{i}_00", seed=i, mitoses=[(100 + 5 * i, 90), (220, 200)]) for i in range(paper.FEWEST_CASES)),
        draw_hpf("A00_01", seed=9, mitoses=[]),
    ]
)


class Blind(DarkScorer):
    """Sees nothing anywhere."""

    def logits(self, image):
        return super().logits(image) * 0 - 9


def test_what_finds_the_mitoses_is_better_than_what_finds_none_and_the_other_way_round_worse():
    result, differences = compare_detectors(DarkScorer(), Blind(), CASES)
    assert result["verdict"] == "better"
    assert result["difference"]["max_f1"][1] > 0
    assert (result["candidate"]["max_f1"], result["active"]["f1_at_0.5"]) == (1.0, 0.0)
    right = [one for one in differences if one.right]
    assert len(right) == 2 * paper.FEWEST_CASES
    assert {one.by for one in differences} == {"candidate"}
    assert right[0].crop.shape == (128, 128, 3)
    assert np.mean(right[0].crop[56:72, 56:72]) < 130, "the crop shows the dark figure in its middle"
    assert compare_detectors(Blind(), DarkScorer(), CASES)[0]["verdict"] == "worse"


def test_the_same_detector_is_neither_and_differs_nowhere():
    result, differences = compare_detectors(DarkScorer(), DarkScorer(), CASES)
    assert result["verdict"] == "cannot tell"
    assert differences == []
    assert result["difference"] == {"f1": [0, 0, 0], "max_f1": [0, 0, 0]}


def test_the_shift_of_a_scanner_is_added_on_frames_and_slides_of_that_source_alone(tmp_path):
    picture = draw_tissue(500, 400, mitoses=[(100, 90)], seed=20)
    path = tmp_path / "free.tif"
    write_pyramid(path, lambda top, bottom: picture[top:bottom], (500, 400), (0.25, 0.25), compression="deflate")

    @contextmanager
    def opened():
        with open_slide(path) as slide:
            yield WorkingFrame(slide, (0.25, 0.25))

    free = [MitosisFreeSlide("free", "F", 0.01, opened, source) for source in ("drawn", "elsewhere")]
    shifts = ({"drawn": -100.0}, {"elsewhere": -100.0})
    result, _ = compare_detectors(DarkScorer(), DarkScorer(), CASES, free=free, shifts=shifts)
    assert (result["candidate"]["f1_at_0.5"], result["active"]["f1_at_0.5"]) == (0.0, 1.0)
    without = compare_detectors(DarkScorer(), DarkScorer(), CASES, free=free[:1])[0]["active"]["free_detections"]
    assert result["candidate"]["free_detections"] == result["active"]["free_detections"] == without >= 1


def test_too_few_cases_cannot_tell_however_clear_it_looks():
    result, _ = compare_detectors(DarkScorer(), Blind(), CASES[: paper.FEWEST_CASES - 1])
    assert result["verdict"] == "cannot tell"
    assert "fewer than" in result["why"]


def test_what_finds_more_mitoses_but_alarms_where_there_are_none_is_not_called_better():
    """Six dark spots, of which no label speaks, on a frame without mitoses."""
    spots = [(60 + 70 * (i % 3), 90 + 110 * (i // 3)) for i in range(6)]
    frame = draw_hpf("A00_02", seed=11, mitoses=spots)
    cases = cases_of([*(hpf for case in CASES for hpf in case.frames), replace(frame, mitoses=points())])
    result, differences = compare_detectors(DarkScorer(), Blind(), cases)
    assert (result["difference"]["max_f1"][1] > 0, result["verdict"]) == (True, "cannot tell")
    assert "6 are the candidate's alone and 0 the active version's alone, which is more" in result["why"]
    assert (result["candidate"]["free_alone"], sum(not one.right for one in differences)) == (6, 6)
    assert result["candidate"]["free_mm2"] == pytest.approx(2 * 320 * 300 * 0.0625 / 1e6, abs=1e-4)
    assert result["active"]["free_per_mm2"] == 0
    assert list(result["candidate"]["by_source"]) == ["drawn"]


def test_on_a_slide_without_mitoses_every_detection_is_false_and_shown(tmp_path):
    path = tmp_path / "slide.tif"
    image = draw_tissue(700, 600, mitoses=[(200, 200), (450, 380)], seed=4)
    write_pyramid(path, lambda top, bottom: image[top:bottom], (700, 600), (0.5, 0.5), compression="deflate")

    @contextmanager
    def opened():
        with open_slide(path) as file:
            yield WorkingFrame(file, (0.25, 0.25))

    heard = []
    slide = MitosisFreeSlide("S-1", "free", 2.0, opened)
    result, differences = compare_detectors(DarkScorer(), Blind(), CASES[:1], free=[slide], progress=heard.append)
    assert (result["candidate"]["free_detections"], result["active"]["free_detections"]) == (2, 0)
    frames = 320 * 300 * 0.0625 / 1e6  # the frame of the case that has no mitosis
    assert result["candidate"]["free_per_mm2"] == pytest.approx(2 / (2 + frames), abs=1e-3)
    false = [one for one in differences if one.frame == "S-1"]
    assert sorted((round(one.x, -1), round(one.y, -1)) for one in false) == [(200, 200), (450, 380)]
    assert {one.right for one in false} == {False}
    assert np.mean(false[0].crop[56:72, 56:72]) < 130
    assert len(CASES[0].frames) in heard, "said between the windows of the slide"


UP, FLAT, DOWN = (0.1, 0.02, 0.2), (0.0, -0.1, 0.1), (-0.1, -0.2, -0.01)
MORE, EVEN, FEWER = (6, 0), (7, 5), (0, 6)


@pytest.mark.parametrize(
    ("f1", "max_f1", "alone", "said"),
    [
        (UP, UP, EVEN, "better"),
        (FLAT, UP, None, "better"),
        (UP, UP, FEWER, "better"),
        (UP, UP, MORE, "cannot tell"),
        (DOWN, UP, FEWER, "worse"),
        (UP, DOWN, EVEN, "worse"),
        (UP, FLAT, EVEN, "cannot tell"),
        (UP, FLAT, FEWER, "cannot tell"),
        (UP, FLAT, MORE, "worse"),
    ],
)
def test_the_rule(f1, max_f1, alone, said):
    assert decide({"f1": f1, "max_f1": max_f1}, paper.FEWEST_CASES, alone)[0] == said


@pytest.mark.parametrize(
    ("alone", "more", "words"),
    [
        (None, False, "not known"), ((0, 0), False, "chance"), ((5, 0), False, "chance"), ((6, 0), True, "more"),
        ((12, 3), True, "more"), ((11, 4), False, "chance"), ((0, 6), False, "fewer"),
    ],
)  # fmt: skip
def test_more_false_alarms_are_those_beyond_chance(alone, more, words):
    said, sentence = more_false_alarms(alone)
    assert said == more
    assert words in sentence


def test_pairs_tell_what_intervals_beside_each_other_cannot():
    """Cases that differ much among themselves, of which each is a little better: sure in pairs."""
    rng = np.random.default_rng(0)
    sides: list[list[MatchedFrame]] = [[], []]
    for case in range(12):
        truths, found = 40, int(rng.integers(5, 30))
        for side, extra in zip(sides, (3, 0), strict=True):
            hits = np.ones(found + extra, dtype=bool)
            side.append(MatchedFrame(str(case), np.full(found + extra, 0.9), hits, truths))
    first, second = (Evaluation(side) for side in sides)
    assert first.intervals()["f1"][0] < second.intervals()["f1"][1], "beside each other they overlap"
    assert paired_intervals(first, second)["f1"][1] > 0
