from __future__ import annotations

from dataclasses import replace

import pytest

from detector.evaluation.evaluate import curve, evaluate, summary
from detector.frames import cases_of, points
from tests.drawing import DarkScorer, draw_dot, draw_hpf

MITOSES = [(100, 90), (220, 200), (300, 60)]


def test_every_exhaustive_frame_is_judged_by_its_labels():
    found = draw_hpf("A00_00", mitoses=MITOSES, width=400)
    missed = replace(draw_hpf("A00_01", mitoses=[(50, 50)]), image=draw_hpf(mitoses=[]).image)
    extra = draw_hpf("B00_00", mitoses=[(200, 150)])
    draw_dot(extra.image, 80, 60, 9)
    patch = draw_hpf("C00_00", exhaustive=False)
    result = summary(evaluate(DarkScorer(), cases_of([found, missed, extra, patch])))
    assert (result["frames"], result["mitoses"]) == (3, 5)
    assert (result["true_positives"], result["false_positives"], result["false_negatives"]) == (4, 1, 1)
    assert (result["precision"], result["recall"], result["f1_at_0.5"]) == (0.8, 0.8, 0.8)
    assert result["f1_by_case"] == {"A00": 0.8571, "B00": 0.6667}
    assert result["f1_case_mean"] == pytest.approx(0.7619)
    assert result["f1_at_0.5_interval"] == [0.6667, 0.8571], "as if all cases were the worse, or the better one"


@pytest.mark.parametrize(("mpp", "hit"), [(0.25, False), (0.2431, True)])
def test_a_match_is_within_a_physical_radius(mpp, hit):
    # A detection 30.6 px from its label: 7.65 um at 0.25 um/px, 7.44 um at 0.2431.
    frame = draw_hpf(mitoses=[(160, 160)])
    frame = replace(frame, mpp=mpp, mitoses=points([(190.6, 160)]))
    (judged,) = evaluate(DarkScorer(), cases_of([frame])).frames
    assert judged.hits[0] == hit


def test_the_curve_falls_from_the_surest_detection_to_the_least_sure():
    frame = draw_hpf(mitoses=MITOSES, width=400)
    draw_dot(frame.image, 80, 60, 14)
    evaluation = evaluate(DarkScorer(), cases_of([frame]))
    points_of_curve = curve(evaluation)
    assert [row["recall"] for row in points_of_curve] == sorted(row["recall"] for row in points_of_curve)
    assert points_of_curve[-1]["recall"] == 1


def test_nothing_to_judge_is_no_error():
    assert summary(evaluate(DarkScorer(), []))["f1_case_mean"] is None
