"""Verdicts and regions: what people say stays, nobody overwrites anybody unseen, new runs find old verdicts."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from webapp.annotations.models import Figure, Label, Region, Verdict
from webapp.annotations.services import RunStamp, VerdictConflict, figure_judge, region_draw, region_remove, run_save
from webapp.core.errors import InvalidInput
from webapp.jobs.models import Job
from webapp.jobs.services import job_create, shard_claim, shard_finish

SQUARE = [[10, 10], [100, 10], [100, 100], [10, 100]]


@pytest.mark.django_db
def test_a_verdict_is_on_the_candidate_nearby_and_leaves_the_run_alone(alice, make_slide, make_run):
    slide = make_slide()
    run = make_run(slide, [(100, 100, 0.9), (300, 200, 0.4)])
    figure = figure_judge(slide=slide, by=alice, label=Label.NON_MITOTIC, x=110, y=95)
    assert (figure.x, figure.y, figure.added) == (100, 100, False)
    assert list(run.candidates.values_list("score", "figure")) == [(0.9, figure.pk), (0.4, None)]


@pytest.mark.django_db
def test_where_no_candidate_is_a_missed_figure_is_added(alice, make_slide, make_run):
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])
    figure = figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=140.5, y=100)
    assert figure.added
    assert (figure.x, figure.y) == (140.5, 100)


@pytest.mark.django_db
def test_the_history_keeps_every_verdict(alice, make_slide, make_run):
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])
    for seen, label in enumerate([Label.MITOTIC, Label.UNSURE, Label.OPEN]):
        figure = figure_judge(slide=slide, by=alice, label=label, x=100, y=100, expected=seen)
    assert figure.label == ""
    assert [v.label for v in figure.verdicts.all()] == ["mitotic", "unsure", ""]


@pytest.mark.django_db
def test_a_verdict_that_was_not_seen_is_not_overwritten(alice, bob, make_slide, make_run):
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100)
    with pytest.raises(VerdictConflict, match="alice has judged this figure in the meantime: mitotic figure"):
        figure_judge(slide=slide, by=bob, label=Label.NON_MITOTIC, x=100, y=100)
    assert Figure.objects.get().label == "mitotic"


@pytest.mark.django_db
def test_the_same_verdict_sent_twice_counts_once(alice, make_slide, make_run):
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])
    sent = uuid.uuid4()
    for _ in range(2):
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100, verdict=sent)
    assert Verdict.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_people_at_once_one_gets_the_conflict(alice, bob, make_slide, make_run):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one write at a time")
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])

    def judge(person):
        try:
            figure_judge(slide=slide, by=person, label=Label.MITOTIC, x=100, y=100)
            return "kept"
        except VerdictConflict:
            return "conflict"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(judge, [alice, bob])) == ["conflict", "kept"]
    assert Verdict.objects.count() == 1


@pytest.mark.django_db
def test_a_new_run_finds_the_verdicts_of_the_old_one(alice, model, make_slide, make_run):
    slide = make_slide()
    make_run(slide, [(100, 100, 0.9)])
    figure = figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100)
    job = job_create(kind=Job.Kind.DETECT, slide=slide, by=alice)
    shard_finish(shard=shard_claim(shard_pk=job.shards.get().pk, worker="w"))
    stamp = RunStamp(
        model=model, model_sha256="0", parameters={}, mpp_x=0.25, mpp_y=0.25, code_version="t",
        device="cpu", precision="fp32", windows_total=1, windows_skipped=0,
    )  # fmt: skip
    run = run_save(job=job, stamp=stamp, candidates=[(104, 98, 0.7), (200, 200, 0.6)])
    assert list(run.candidates.values_list("figure", flat=True)) == [figure.pk, None]


@pytest.mark.django_db
def test_places_outside_and_unknown_labels_are_refused(alice, make_slide):
    slide = make_slide()
    with pytest.raises(InvalidInput, match="outside of the slide"):
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=-1, y=10)
    with pytest.raises(InvalidInput, match="A verdict is one of"):
        figure_judge(slide=slide, by=alice, label="perhaps", x=1, y=10)


@pytest.mark.django_db
def test_an_edited_region_replaces_the_old_one_and_keeps_it(alice, make_slide):
    slide = make_slide()
    first = region_draw(slide=slide, by=alice, kind=Region.Kind.TUMOUR, polygon=SQUARE)
    second = region_draw(slide=slide, by=alice, kind=Region.Kind.TUMOUR, polygon=SQUARE[:3], replaces=first)
    assert list(Region.objects.current()) == [second]
    with pytest.raises(VerdictConflict, match="changed or removed"):
        region_remove(region=first, by=alice)
    assert Region.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("polygon", "words"),
    [(SQUARE[:2], "corners"), ("abc", "list of corners"), ([[0, 0], [9e9, 0], [0, 9]], "leaves the slide"),
     ([[0, 0], [float("nan"), 0], [0, 9]], "leaves the slide"), ([[5, 5], [9, 9], [7, 7]], "no area"),
     ([[0, 0], [10**400, 0], [0, 9]], "list of corners")],
)  # fmt: skip
def test_polygons_that_are_none_are_refused(alice, make_slide, polygon, words):
    with pytest.raises(InvalidInput, match=words):
        region_draw(slide=make_slide(), by=alice, kind=Region.Kind.TUMOUR, polygon=polygon)
