"""Blinded readings: each on a copy, together when all are done, disagreements settled by others or by both."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from webapp.annotations.models import Candidate, Figure, Label, Region, Run, Verdict
from webapp.annotations.services import detection_request, figure_judge, region_draw
from webapp.core.errors import DomainError, InvalidInput, NotAllowed
from webapp.readings.selectors import AI, agreements, disputes_of, is_open, read_slides, readings_of
from webapp.readings.services import reading_finish, reading_open, readings_begin, readings_end
from webapp.reports.services import others_of_case, report_sign
from webapp.results.count import mitosis_count
from webapp.results.question import question
from webapp.retraining.locked_cases import free_slide_add
from webapp.retraining.losses import slide_delete_asked
from webapp.retraining.patients import case_losses
from webapp.retraining.selectors import slides_unlabelled
from webapp.screening.models import Screening
from webapp.screening.services import cells_see
from webapp.slides.models import Case, Membership, Reading, Slide, Study
from webapp.slides.services import slide_assign, slide_correct_case, slide_delete, slide_set_mpp


def labels(slide):
    """What holds on a slide, by x."""
    return {figure.x: figure.label for figure in Figure.objects.filter(slide=slide).order_by("x")}


def test_each_reader_sees_the_own_copy_alone_and_nobody_else_does(slide, begin, judge, alice, ben, carla, root):
    mine, bens = begin(slide)
    judge(mine, alice, {100: "m", 200: "n"})
    judge(bens, ben, {100: "n"})
    seen = {user.username: set(Slide.objects.visible_to(user)) for user in (alice, ben, carla, root)}
    assert seen == {"alice": {mine}, "ben": {bens}, "carla": {slide}, "root": {slide}}
    assert set(Run.objects.visible_to(alice)) == {mine.runs.get()} and set(Run.objects.visible_to(root)) == {
        slide.runs.get()
    }
    assert set(Figure.objects.visible_to(ben)) == set(bens.figures.all())
    assert not Figure.objects.visible_to(carla).exists() and labels(slide) == {}
    assert list(Slide.objects.all()) == [slide], "what lists all slides lists no copies"
    assert (mine.folder, mine.thumbnail.exists()) == (slide.folder, True)
    found = [list(Candidate.objects.filter(run__slide=one).values_list("x", "y", "score")) for one in (mine, slide)]
    assert found[0] == found[1]


def test_a_superuser_who_reads_sees_the_copy_in_place_of_the_slide(slide, begin, root, alice):
    mine, roots = begin(slide, readers=(alice, root))
    assert set(Slide.objects.visible_to(root)) == {roots} and set(Slide.objects.visible_to(alice)) == {mine}


def test_what_both_say_holds_and_what_they_disagree_on_is_listed(slide, begin, judge, alice, ben):
    mine, bens = begin(slide)
    judge(mine, alice, {100: "m", 200: "n", 300: "m"})
    judge(mine, alice, {500: "m"}, y=50.0)  # missed by the detector, and by ben
    judge(bens, ben, {100: "m", 200: "n", 300: "n"})
    reading_finish(copy=mine, by=alice)
    assert labels(slide) == {} and Slide._base_manager.filter(original=slide).count() == 2, "ben is not done"
    reading_finish(copy=bens, by=ben)
    assert labels(slide) == {100: "mitotic", 200: "non_mitotic", 300: "", 500: ""}
    assert not Slide._base_manager.filter(original=slide).exists(), "copies go"
    disputed = list(disputes_of(slides=Slide.objects.all()))
    said = [[(verdict.by.username, verdict.label) for verdict in one.said] for one in disputed]
    assert said == [[("alice", "mitotic")], [("alice", "mitotic"), ("ben", "non_mitotic")]]
    assert {figure.x: figure.added for figure in slide.figures.all()} == {100: False, 200: False, 300: False, 500: True}
    assert {one.figure.x for one in Candidate.objects.exclude(figure=None)} == {100, 200, 300}
    own = Verdict.objects.filter(figure__slide=slide, by=alice).order_by("figure__x").values_list("label", flat=True)
    assert list(own) == ["mitotic", "non_mitotic", "mitotic", "mitotic"], "each keeps the own verdict"
    run = slide.runs.get()
    count = mitosis_count(run=run, asked=question())
    assert (count.reviewed.count, count.judged.unseen) == (2, 1), "the disputed candidate is not judged yet"
    assert set(Slide.objects.visible_to(alice)) == {slide}


def test_verdicts_keep_their_time_and_number(slide, begin, judge, alice, ben):
    mine, bens = begin(slide)
    judge(mine, alice, {100: "m"})
    judge(bens, ben, {100: "m"})
    given = timezone.now() - timedelta(days=2)
    Verdict.objects.filter(figure__slide=mine).update(at=given)
    for copy, by in ((mine, alice), (bens, ben)):
        reading_finish(copy=copy, by=by)
    figure = slide.figures.get()
    assert (figure.version, [one.version for one in figure.verdicts.all()]) == (2, [1, 2])
    assert figure.verdicts.first().at == given


@pytest.fixture
def disputed(slide, begin, judge, alice, ben):
    """A figure that alice and ben disagree on."""
    mine, bens = begin(slide)
    judge(mine, alice, {100: "m"})
    judge(bens, ben, {100: "n"})
    for copy, by in ((mine, alice), (bens, ben)):
        reading_finish(copy=copy, by=by)
    return slide.figures.get()


def test_a_third_person_settles(disputed, carla, slide):
    figure_judge(slide=slide, by=carla, label=Label.MITOTIC, x=100, y=100, expected=disputed.version)
    disputed.refresh_from_db()
    assert (disputed.label, disputed.disputed) == ("mitotic", False) and not disputes_of(slides=Slide.objects.all())


def test_one_of_the_two_does_not_settle_alone_but_both_together_do(disputed, alice, slide):
    with pytest.raises(NotAllowed, match="settle it together; anybody else"):
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100, expected=disputed.version)
    figure_judge(slide=slide, by=alice, label=Label.UNSURE, x=100, y=100, expected=disputed.version, together=True)
    disputed.refresh_from_db()
    assert (disputed.label, disputed.disputed, disputed.verdicts.last().together) == ("unsure", False, True)


def test_hidden_candidates_are_not_there_and_a_place_that_one_marked_alone_is_disputed(slide, begin, judge, alice, ben):
    mine, bens = begin(slide, rounds=(False,))
    assert not Candidate.objects.filter(run__slide__in=(mine, bens)).exists()
    judge(mine, alice, {100: "m", 200: "m"})
    judge(bens, ben, {101: "m"})  # 1 um from it
    for copy, by in ((mine, alice), (bens, ben)):
        reading_finish(copy=copy, by=by)
    assert labels(slide) == {100: "mitotic", 200: ""}
    assert {one.figure.x for one in Candidate.objects.exclude(figure=None)} == {100, 200}, "the detector had both"


def test_a_candidate_that_one_passed_over_was_not_judged(slide, begin, judge, alice, ben):
    mine, bens = begin(slide)
    judge(mine, alice, {100: "m"})
    judge(mine, alice, {400: "m"}, y=300.0)  # below the threshold: ben did not see it as a candidate
    for copy, by in ((mine, alice), (bens, ben)):
        reading_finish(copy=copy, by=by)
    assert labels(slide) == {100: "mitotic", 400: ""}


def test_while_it_is_read_the_slide_stays_as_it_is(slide, begin, alice, ben, carla, manager, root):
    mine, _ = begin(slide)
    corners = [[0, 0], [90, 0], [0, 90]]
    refused = [
        lambda: figure_judge(slide=slide, by=carla, label=Label.MITOTIC, x=1, y=1),
        lambda: region_draw(slide=slide, by=carla, kind=Region.Kind.TUMOUR, polygon=corners),
        lambda: region_draw(slide=mine, by=alice, kind=Region.Kind.TUMOUR, polygon=corners),
        lambda: report_sign(slide=slide, run=slide.runs.get(), asked=question(), by=carla),
        lambda: report_sign(slide=mine, run=mine.runs.get(), asked=question(), by=alice),
        lambda: detection_request(slide=mine, by=alice),
        lambda: slide_set_mpp(slide=slide, mpp=0.5, user=root),
        lambda: slide_set_mpp(slide=mine, mpp=0.5, user=root),
        lambda: slide_assign(slide=mine, reader="ben", by=alice),
        lambda: readings_begin(slides=[slide], readers=[alice, carla], by=manager, rounds=[True]),
        lambda: readings_begin(slides=[mine], readers=[alice, carla], by=manager, rounds=[True]),
        lambda: readings_end(slide=mine, by=manager),
        lambda: slide_delete(slide=mine),
    ]
    for refuse in refused:
        with pytest.raises(DomainError, match="blinded"):
            refuse()


def test_a_report_of_the_case_leaves_out_what_is_read_blinded(slide, make_slide, make_run, begin, carla):
    beside = make_slide("beside", mpp=1.0, case=slide.case)
    make_run(beside, [(50.0, 50.0, 0.9)])
    begin(slide)
    others, left_out = others_of_case(slide=beside, asked=question())
    assert (others, left_out) == ([], ["glass, which is being read blinded"])


def test_who_is_done_changes_nothing_more(slide, begin, alice, ben):
    mine, bens = begin(slide)
    reading_finish(copy=mine, by=alice)
    reading_finish(copy=mine, by=alice)  # once more is as once
    with pytest.raises(DomainError, match="You are done with this slide"):
        figure_judge(slide=mine, by=alice, label=Label.MITOTIC, x=100, y=100)
    with pytest.raises(NotAllowed):
        reading_finish(copy=bens, by=alice)


def test_only_those_who_disagree_settle_it_together(disputed, carla, slide):
    with pytest.raises(NotAllowed):
        figure_judge(slide=slide, by=carla, label=Label.MITOTIC, x=100, y=100, expected=disputed.version, together=True)


def test_a_slide_is_read_blinded_once(disputed, slide, alice, carla, manager):
    with pytest.raises(DomainError, match="or has been"):
        readings_begin(slides=[slide], readers=[alice, carla], by=manager, rounds=[True])


def test_a_slide_that_is_moved_takes_the_copies_along(slide, begin, study):
    begin(slide)
    slide_correct_case(slide=slide, case=Case.objects.create(study=study, identifier="right"))
    assert {copy.case.identifier for copy in Slide._base_manager.filter(original=slide)} == {"right"}


def test_a_slide_that_is_read_is_not_deleted_mined_or_called_mitosis_free(slide, begin, judge, ben, manager, root):
    _, bens = begin(slide)
    judge(bens, ben, {100: "m"})
    assert slide not in slides_unlabelled() and case_losses(case=slide.case).verdicts == 0
    with pytest.raises(DomainError, match="being read blinded"):
        slide_delete_asked(slide=slide, by=manager, confirmed=True)
    with pytest.raises(DomainError, match="being read blinded"):
        free_slide_add(slide=slide, by=root)


def test_two_rounds_ended_in_the_second_keep_what_each_said_last(slide, begin, judge, alice, ben, manager):
    mine, bens = begin(slide, rounds=(True, True))
    judge(mine, alice, {100: "m"})
    judge(bens, ben, {200: "n"})
    for copy, by in ((mine, alice), (bens, ben)):
        reading_finish(copy=copy, by=by)
    again = reading_open(reading=Reading.objects.get(slide=slide, reader=alice, round=2))
    judge(again, alice, {100: "n"})
    readings_end(slide=slide, by=manager)
    assert labels(slide) == {100: "non_mitotic", 200: "non_mitotic"}


def test_who_is_out_of_the_study_has_nothing_to_read(slide, begin, alice):
    begin(slide)
    Membership.objects.filter(user=alice).delete()
    assert not readings_of(alice).exists()


def test_readings_end_before_all_are_done(slide, begin, judge, alice, ben, manager):
    mine, bens = begin(slide)
    judge(mine, alice, {100: "m"})
    judge(bens, ben, {200: "m"})
    with pytest.raises(NotAllowed):
        readings_end(slide=slide, by=alice)
    readings_end(slide=slide, by=manager)
    assert labels(slide) == {100: "mitotic", 200: "mitotic"}, "who was not done said nothing of the rest"
    assert not Reading.objects.filter(over_at=None).exists()
    with pytest.raises(DomainError):
        readings_end(slide=slide, by=manager)


def test_what_was_screened_comes_along(slide, begin, alice, ben):
    mine, bens = begin(slide)
    cells_see(slide=mine, reader=alice, runs=[[0, 0, 2]])
    for copy, by in ((mine, alice), (bens, ben)):
        reading_finish(copy=copy, by=by)
    assert Screening.objects.get().slide == slide


def test_what_cannot_begin_is_refused_for_all(slide, make_slide, begin, alice, ben, bob, manager, judge, carla):
    def refused(match, *slides, readers=(alice, ben), **more):
        with pytest.raises((DomainError, InvalidInput), match=match):
            readings_begin(slides=slides, readers=readers, by=manager, rounds=[True], **more)
        assert not Reading.objects.exists()

    refused("2 to 20 different readers", slide, readers=(alice,))
    refused("2 to 20 different readers", slide, readers=(alice, alice))
    refused("bob may not judge", slide, readers=(alice, bob))
    refused("detected first", slide, make_slide("new"))
    refused("Choose slides")
    refused("wash-out", slide, wash_out_days=-1)
    judge(slide, carla, {100: "m"})
    refused("verdicts already", slide)


def test_a_reader_may_not_set_it_up(slide, alice, ben):
    with pytest.raises(NotAllowed):
        readings_begin(slides=[slide], readers=[alice, ben], by=alice, rounds=[True])


def test_two_rounds_with_a_wash_out(slide, make_slide, make_run, begin, judge, alice, ben):
    second = make_slide("second")
    make_run(second, [(50.0, 50.0, 0.9)])
    mine, bens = begin(slide, second, rounds=(False, True), wash_out_days=14, shuffled=True)
    assert sorted(readings_of(alice).filter(round=1).values_list("place", flat=True)) == [1, 2]
    judge(mine, alice, {100: "m"})
    judge(bens, ben, {200: "m"})
    reading_finish(copy=mine, by=alice)
    later = Reading.objects.get(slide=slide, reader=alice, round=2)
    assert later.opens_at - timezone.now() > timedelta(days=13.9) and not is_open(later)
    assert set(Slide.objects.visible_to(alice)) == {Reading.objects.get(slide=second, reader=alice, round=1).copy}
    assert next(filter(is_open, readings_of(alice))).slide == second, (
        "neither the slide nor what was read of it is there meanwhile"
    )
    with pytest.raises(DomainError, match="opens on"):
        reading_open(reading=later)
    reading_finish(copy=bens, by=ben)
    Reading.objects.filter(round=2).update(opens_at=timezone.now())
    for reader, said in ((alice, {100: "m"}), (ben, {100: "m", 200: "n"})):
        copy = reading_open(reading=Reading.objects.get(slide=slide, reader=reader, round=2))
        assert reading_open(reading=Reading.objects.get(slide=slide, reader=reader, round=2)) == copy
        assert copy.runs.get().candidate_count == 4
        judge(copy, reader, said)
        reading_finish(copy=copy, by=reader)
    assert labels(slide) == {100: "mitotic", 200: "non_mitotic"}, "of the last round"
    raters = [name for name, _ in read_slides(slides=Slide.objects.visible_to(alice))[0].raters]
    assert raters == ["alice, round 1", "ben, round 1", "alice, round 2", "ben, round 2", AI]


def test_agreement_of_two_readers_and_the_detector_by_hand(slide, begin, judge, alice, ben):
    mine, bens = begin(slide)
    judge(mine, alice, {100: "m", 200: "n", 300: "m"})
    judge(bens, ben, {100: "m", 200: "n", 300: "n"})
    for copy, by in ((mine, alice), (bens, ben)):
        reading_finish(copy=copy, by=by)
    pairs, everybody = agreements(read_slides(slides=Slide.objects.all()))
    both, alice_ai, ben_ai = pairs
    assert (both.first, both.second, both.figures, both.slides) == ("alice", "ben", 3, 1)
    assert both.agreed == pytest.approx(2 / 3) and both.kappa == pytest.approx((2 / 3 - 4 / 9) / (5 / 9))
    assert (both.difference, both.limits, both.scores) == (1, None, 1)
    assert (alice_ai.second, alice_ai.agreed, ben_ai.agreed) == (AI, pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (alice_ai.difference, ben_ai.difference) == (-1, -2)
    assert (everybody.raters, everybody.kappa) == (2, None)


def test_a_candidate_that_somebody_passed_over_is_compared_with_nobody(slide, begin, judge, alice, ben):
    mine, bens = begin(slide)
    judge(mine, alice, {100: "m", 200: "n"})
    judge(bens, ben, {100: "m"})
    for copy, by in ((mine, alice), (bens, ben)):
        reading_finish(copy=copy, by=by)
    pairs, _ = agreements(read_slides(slides=Slide.objects.all()))
    assert [(pair.first, pair.second, pair.figures, pair.agreed) for pair in pairs] == [
        ("alice", "ben", 1, 1), ("alice", AI, 2, 0.5), ("ben", AI, 1, 1),
    ]  # fmt: skip


def test_what_the_detector_found_and_blind_readers_did_not_mark_is_a_disagreement(slide, begin, judge, alice, ben):
    mine, bens = begin(slide, rounds=(False,))
    judge(mine, alice, {100: "m"})
    judge(bens, ben, {100: "m"})
    for copy, by in ((mine, alice), (bens, ben)):
        reading_finish(copy=copy, by=by)
    pairs, _ = agreements(read_slides(slides=Slide.objects.all()))
    assert [(pair.second, pair.figures, pair.agreed) for pair in pairs][:2] == [
        ("ben", 3, 1),
        (AI, 3, pytest.approx(1 / 3)),
    ]


def test_three_readers_and_fleiss(slide, begin, judge, alice, ben, carla):
    copies = begin(slide, readers=(alice, ben, carla))
    for copy, by, said in zip(copies, (alice, ben, carla), ("mnm", "mnn", "mnm"), strict=True):
        judge(copy, by, dict(zip((100, 200, 300), said, strict=True)))
        reading_finish(copy=copy, by=by)
    assert labels(slide) == {100: "mitotic", 200: "non_mitotic", 300: ""}
    _, everybody = agreements(read_slides(slides=Slide.objects.all()))
    share = 5 / 9  # of the nine verdicts mitotic; agreement of pairs 1, 1 and 1/3
    chance = share**2 + (1 - share) ** 2
    assert (everybody.raters, everybody.figures) == (3, 3)
    assert everybody.kappa == pytest.approx(((1 + 1 + 1 / 3) / 3 - chance) / (1 - chance))


def test_a_study_of_one_reader(study, slide, alice, ben):
    Study.objects.update(reading=Study.ReadingMode.ONE)
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100)
    slide.refresh_from_db()
    assert slide.reader == alice, "who judges first"
    with pytest.raises(NotAllowed, match="one reader judges a slide"):
        figure_judge(slide=slide, by=ben, label=Label.MITOTIC, x=200, y=100)
    assert labels(slide) == {100: "mitotic"}


def test_a_blinded_study_is_not_judged_in_the_open(study, slide, begin, alice, ben, carla):
    Study.objects.update(reading=Study.ReadingMode.BLINDED)
    with pytest.raises(DomainError, match="A manager chooses them"):
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=100)
    for copy, by in zip(begin(slide), (alice, ben), strict=True):
        figure_judge(slide=copy, by=by, label=Label.MITOTIC, x=100, y=100)
        reading_finish(copy=copy, by=by)
    figure_judge(slide=slide, by=carla, label=Label.MITOTIC, x=200, y=100)


def test_the_slide_or_a_reader_goes_and_the_copies_with_it(slide, begin, alice, ben):
    begin(slide)
    Membership.objects.filter(user=alice).delete()
    assert not Slide.objects.visible_to(alice).exists(), "who is no member sees no copy either"
    slide_delete(slide=slide)
    assert not Slide._base_manager.exists() and not Reading.objects.exists()


def test_a_person_who_is_deleted_takes_the_copy_along(slide, begin, alice, ben):
    begin(slide)
    User.objects.get(pk=alice.pk).delete()
    assert [copy.reader for copy in Slide._base_manager.filter(original=slide)] == [ben]
