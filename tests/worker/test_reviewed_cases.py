"""Cases reviewed here are compared on like imported ones; what is not read to the end is named."""

from __future__ import annotations

import pytest

import worker.reviewed_slides
from detector import paper
from tests.drawing import DarkScorer, draw_tissue
from webapp.annotations.models import Label, Run
from webapp.annotations.services import candidates_write, figure_judge
from webapp.core.errors import DomainError
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.retraining.judgements import judgement_request, judgement_request_if_possible
from webapp.retraining.locked_cases import case_lock
from webapp.retraining.removals import removal_make
from webapp.retraining.reviewed_cases import cases_lockable, locked_material
from worker.reviewed_slides import labelled_parts, read_slides
from worker.tasks import judge

MITOSES = [(200, 200), (450, 380)]


class DarkWorker(DarkScorer):
    """As the worker asks a scorer for."""

    device_name, precision = "cpu", "fp32"


class BlindWorker(DarkWorker):
    """Finds nothing anywhere."""

    def logits(self, image):
        return super().logits(image) * 0 - 9


@pytest.fixture
def candidate(active_model):
    (active_model.file.parent / "c.safetensors").write_bytes(b"")
    return ModelVersion.objects.create(name="c", path="c.safetensors", sha256="c" * 64, card={})


@pytest.fixture
def read(root, active_model, make_slide, make_run_of):
    """A slide with two mitoses and a look-alike, all candidates judged."""

    def make(*, upto=3, scanner="SS1", seed=4, **fields):
        slide = make_slide(image=draw_tissue(700, 600, mitoses=MITOSES, seed=seed), scanner=scanner, **fields)
        places = [*MITOSES, (350, 120)]
        make_run_of(slide, active_model, [(x, y, 0.9) for x, y in places[1:]])
        for number, (x, y) in enumerate(places[:upto]):
            label = Label.NON_MITOTIC if number == 2 else Label.MITOTIC
            figure_judge(slide=slide, by=root, label=label, x=x, y=y)
        return slide

    return make


@pytest.fixture
def make_run_of():
    def make(slide, model, rows):
        stamp = {"model_sha256": model.sha256, "parameters": {}, "mpp_x": 0.25, "mpp_y": 0.25, "code_version": "t"}
        counts = {"windows_total": 1, "windows_skipped": 0, "candidate_count": len(rows)}
        run = Run.objects.create(slide=slide, model=model, device="cpu", precision="fp32", **stamp, **counts)
        candidates_write(run=run, rows=rows)
        return run

    return make


def judged(judgement):
    for shard in judgement.job.shards.all():
        judge(shard_pk=shard.pk)
    judgement.job.refresh_from_db()
    assert judgement.job.state == State.SUCCEEDED, judgement.job.traceback
    judgement.refresh_from_db()
    return judgement


def test_slides_read_to_the_end_become_frames_with_their_verdicts(read, root):
    slide = read()
    figure_judge(slide=slide, by=root, label=Label.UNSURE, x=600, y=500)
    ((frame,), parts) = labelled_parts(slide)
    assert (parts, frame.case, frame.source, frame.exhaustive) == (1, slide.case.identifier, "SS1", True)
    assert frame.image.shape == (600, 700, 3)
    assert sorted(map(tuple, frame.mitoses.tolist())) == MITOSES, "the added one among them"
    assert sorted(map(tuple, frame.non_mitoses.tolist())) == [(350, 120), (600, 500)]


def test_parts_are_cut_at_the_working_resolution_and_of_many_the_same_ones_are_drawn(
    make_slide, root, monkeypatch, active_model
):
    monkeypatch.setattr(paper, "FRAME_SIZE", 256)
    slide = make_slide(image=draw_tissue(500, 400, seed=2), mpp=0.5)  # 1000 x 800 px of 0.25 um
    places = [(10, 10), (300, 220), (490, 395), (320, 240)]
    for x, y in places:
        figure_judge(slide=slide, by=root, label=Label.MITOTIC, x=x, y=y)
    frames, parts = labelled_parts(slide)
    assert parts == len(frames) == 3, "two lie in one part, and parts without a figure are left out"
    assert {frame.image.shape for frame in frames} == {(200, 250, 3)} and frames[0].mpp == 0.25
    assert frames[0].mitoses.tolist() == [[20, 20]]
    assert sum(len(frame.mitoses) for frame in frames) == len(places)
    for frame in frames:
        assert ((frame.mitoses >= 0) & (frame.mitoses <= (250, 200))).all()
    monkeypatch.setattr(worker.reviewed_slides, "MOST_PARTS", 2)
    first, second = read_slides([str(slide.pk)]), read_slides([str(slide.pk)])
    assert [frame.name for frame in first[0]] == [frame.name for frame in second[0]] and first[1] == 3


def test_a_case_reviewed_here_is_locked_and_compared_on_and_what_is_left_out_is_named(
    read, root, candidate, active_model, drawn_set, make_slide, monkeypatch, client_of
):
    slides = [read(seed=number) for number in range(4)]
    half_read, unread = read(upto=2), make_slide()
    extra = make_slide(case=slides[0].case)
    case_lock(name="B02", by=root)
    for slide in [*slides, half_read, unread]:
        case_lock(name=slide.case.identifier, by=root)
    removal_make(slide=slides[3], by=root, reason="consent withdrawn")
    monkeypatch.setattr(
        "worker.run_judgement.scorer_of", lambda model: BlindWorker() if model == candidate else DarkWorker()
    )
    monkeypatch.setattr("worker.run_judgement.shifts_of", lambda model: {})
    judgement = judged(judgement_request(version=candidate, by=root))
    reviewed = sorted(slide.case.identifier for slide in slides[:3])
    assert judgement.cases == sorted(["B02", *reviewed])
    result = judgement.result
    assert (result["cases_imported"], result["cases_reviewed"], result["cases"]) == (1, 3, 4)
    assert result["reviewed_parts"] == {"looked_at": 3, "of": 3}
    assert result["left_out"] == {
        slides[3].case.identifier: "1 of 1 slides removed from training",
        extra.case.identifier: "1 of 2 slides not read to the end",
        half_read.case.identifier: "1 of 1 slides not read to the end",
        unread.case.identifier: "1 of 1 slides not read to the end",
    }
    active, blind = (result[side]["by_source"]["SS1"]["f1_at_0.5"] for side in ("active", "candidate"))
    assert active == 1.0 > blind
    page = " ".join(client_of(root).get(f"/models/judgement/{judgement.pk}/").content.decode().split())
    assert "1 imported, 3 reviewed here (3 of 3 parts" in page
    assert f"{half_read.case.identifier}: 1 of 1 slides not read to the end" in page
    told = client_of(root).get(f"/api/v1/models/{candidate.pk}/judgements/").json()["results"][0]
    assert told["left_out"] == result["left_out"] and len(told["reviewed"]) == 3


def test_without_a_case_that_can_be_compared_on_it_is_refused_and_says_what_is_missing(
    read, root, candidate, active_model
):
    assert "No test case is locked" in judgement_request_if_possible(version=candidate, by=root)
    slide = read(upto=2)
    case_lock(name=slide.case.identifier, by=root)
    with pytest.raises(DomainError, match=f"{slide.case.identifier}: 1 of 1 slides not read to the end"):
        judgement_request(version=candidate, by=root)
    assert "read to the end" in judgement_request_if_possible(version=candidate, by=root)
    figure_judge(slide=slide, by=root, label=Label.NON_MITOTIC, x=350, y=120)
    assert locked_material().cases == [slide.case.identifier] and not locked_material().left_out
    assert judgement_request_if_possible(version=candidate, by=root) == ""


def test_the_page_offers_cases_reviewed_here_to_be_locked(read, root, client_of):
    slide, half_read = read(), read(upto=2)
    offered = {one.case: (one.slides, one.read, one.lock) for one in cases_lockable(most=9)}
    assert offered == {slide.case.identifier: (1, 1, None), half_read.case.identifier: (1, 0, None)}
    page = " ".join(client_of(root).get("/models/retraining/").content.decode().split())
    assert f'aria-label="Lock {slide.case.identifier}"' in page and "1 of 1 slide read" in page
    case_lock(name=slide.case.identifier, by=root)
    assert f'aria-label="Unlock {slide.case.identifier}"' in client_of(root).get("/models/retraining/").content.decode()
