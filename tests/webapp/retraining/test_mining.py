"""Mining: what may be mined, what it costs, and a precision that is honest."""

from __future__ import annotations

import pytest

from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.core.errors import DomainError
from webapp.results.wilson import wilson_interval
from webapp.retraining.locked_cases import case_lock
from webapp.retraining.mining import mined_sample_judge, mined_samples_reject, mining_request
from webapp.retraining.selectors import estimate_of, precision_of, samples_to_judge, slides_unlabelled
from webapp.retraining.trainings import training_request
from webapp.slides.models import Case


def test_what_can_be_mined_is_unlabelled_ready_and_not_locked(root, alice, make_slide, study, labelled_set):
    free, judged, blind = make_slide("free.tif"), make_slide("judged.tif"), make_slide("blind.tif", mpp=None)
    make_slide("locked.tif", case=Case.objects.create(study=study, identifier="A01"))
    case_lock(name="A01", by=root)
    figure_judge(slide=judged, by=alice, label=Label.NON_MITOTIC, x=5, y=5)
    assert list(slides_unlabelled(study=study)) == [free]
    with pytest.raises(DomainError, match=r"Not ready.*blind\.tif"):
        mining_request(slides=[blind], by=root)


def test_the_cost_rests_on_what_was_measured(mined, make_slide):
    slide = make_slide()
    assert estimate_of(slides=[slide]).seconds is None
    mined.slides.update(seconds=4.0)
    mm2 = slide.tissue_mm2
    found = estimate_of(slides=[slide, slide])
    assert found.tissue_mm2 == pytest.approx(2 * mm2)
    assert found.seconds == pytest.approx(8.0)


def test_precision_is_of_the_drawn_samples_alone_with_its_interval(mined, root):
    drawn = list(samples_to_judge(run=mined))
    assert [sample.draw for sample in drawn] == [i / 100 for i in range(50)]
    for sample in drawn[:48]:
        mined_sample_judge(sample=sample, label=Label.MITOTIC, by=root)
    for sample in drawn[48:]:
        mined_sample_judge(sample=sample, label=Label.UNSURE, by=root)
    outside = mined.samples.exclude(pk__in=[s.pk for s in drawn]).first()
    mined_sample_judge(sample=outside, label=Label.NON_MITOTIC, by=root)
    said = precision_of(run=mined)
    assert (said.judged, said.mitotic, said.value, said.fit) == (50, 48, 0.96, True)
    assert said.interval == pytest.approx((0.8654, 0.9890), abs=2e-4)


def test_rejecting_what_was_seen_to_be_wrong_does_not_make_the_rest_look_better(mined, root):
    drawn = list(samples_to_judge(run=mined))
    for number, sample in enumerate(drawn):
        mined_sample_judge(sample=sample, label=Label.MITOTIC if number % 2 else Label.NON_MITOTIC, by=root)
        if not number % 2:
            mined_samples_reject(run=mined, by=root, sample=sample.pk)
    assert (precision_of(run=mined).value, precision_of(run=mined).fit) == (0.5, False)
    assert mined_samples_reject(run=mined, by=root, below=0.9) > 0
    assert all(sample.least >= 0.9 for sample in samples_to_judge(run=mined))


def test_what_was_rejected_or_called_none_is_not_learnt_from(mined, root, labelled_set):
    samples = list(mined.samples.order_by("least"))
    mined_sample_judge(sample=samples[99], label=Label.NON_MITOTIC, by=root)
    assert mined_samples_reject(run=mined, by=root, below=samples[90].least) == 90
    training = training_request(by=root, name="t", sets=[labelled_set], mining=[mined])
    assert {row["id"] for row in training.manifest["mined"]} == {sample.pk for sample in samples[90:99]}
    assert "nobody has judged" in training.warnings[0] or "judge" in training.warnings[0]


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"), [(0, 0, 0, 1), (10, 10, 0.7225, 1), (0, 10, 0, 0.2775), (45, 50, 0.7864, 0.9565)]
)
def test_the_wilson_interval(hits, count, low, high):
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=1e-4)
