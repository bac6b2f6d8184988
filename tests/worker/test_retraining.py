"""The loop as workers do it, on drawn frames and slides: import, mine, train, judge; killed, stopped, two at once."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest
from django.conf import settings

import worker.run_training
from detector.model.checkpoint import load_weights
from detector.model.network import ResNet12
from detector.slide import confine
from tests.drawing import DarkScorer, draw_tissue
from tests.worker.conftest import CASES, LOCKED
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.jobs.services import job_cancel, job_retry
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.retraining.judgements import judgement_request
from webapp.retraining.locked_cases import case_lock, free_slide_add
from webapp.retraining.mining import mining_request
from webapp.retraining.models import Judgement, MinedSample
from webapp.retraining.sets import set_import
from webapp.retraining.trainings import training_request
from worker.tasks import ingest, judge, mine, train

TINY = {
    "iterations": 9,
    "device": "cpu",
    "changes": {
        "widths": [4, 4, 6, 6, 8, 8], "foreground_per_batch": 2, "background_per_batch": 6, "ema_decay": 0.8,
        "hard_negatives_at": [1200], "evaluate_every": 2000, "checkpoint_every": 1000,
    },
}  # fmt: skip


@pytest.fixture
def figure_slide(make_slide):
    return make_slide(image=draw_tissue(700, 600, mitoses=[(200, 200), (450, 380)], seed=4))


def do(task, job):
    for shard in job.shards.all():
        task(shard_pk=shard.pk)
    job.refresh_from_db()
    return job


def weights_of(training):
    training.refresh_from_db()
    state = load_weights(training.version.file)[0].state_dict()
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


def test_a_set_is_read_into_frames_with_their_labels(drawn_set):
    frames = list(drawn_set.frames.all())
    assert [frame.case for frame in frames] == CASES
    assert frames[0].mitoses == [[100.0, 90.0], [220.0, 200.0]]
    assert (frames[0].source, frames[0].exhaustive) == ("MITOS12", True)
    drawn_set.refresh_from_db()
    mitoses = sum(len(frame.mitoses) for frame in frames)
    assert drawn_set.found == [f"MITOS12: {len(frames)} frames, {len(set(CASES))} cases, {mitoses} mitoses"]


def test_what_is_no_labelled_set_is_said_in_words(root, tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    job = do(ingest, set_import(name="x", source=path, by=root).job)
    assert job.state == State.FAILED
    assert "no data set that can be read" in job.error


def test_a_reader_that_is_taken_over_crashes_alone(root, zipped, tmp_path, monkeypatch):
    reader = tmp_path / "python"
    reader.write_text("#!/bin/sh\nkill -9 $$\n")
    reader.chmod(0o755)
    monkeypatch.setattr("worker.apart.sys.executable", str(reader))
    job = do(ingest, set_import(name="x", source=zipped, by=root).job)
    assert job.state == State.FAILED
    assert job.error == "Reading this set crashed the reader; it is damaged or not what it says it is."


def test_a_set_is_read_by_a_process_that_sees_its_folder_alone(drawn_set, tmp_path):
    frame = next(drawn_set.folder.rglob("*.png"))
    frame.rename(tmp_path / "elsewhere.png")
    frame.symlink_to(tmp_path / "elsewhere.png")
    if confine._version() < 1:
        pytest.skip("this kernel has no Landlock")
    command = [sys.executable, "-m", "detector.datasets", drawn_set.folder]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True)
    assert done.returncode == 0 and frame.name in json.loads(done.stdout)["refused"]


def test_mining_keeps_what_all_eight_agree_on(root, active_model, figure_slide, make_slide, monkeypatch):
    monkeypatch.setattr("worker.run_mining.scorer_of", lambda model: DarkWorker())
    empty = make_slide(image=draw_tissue(500, 400, seed=8))
    run = mining_request(slides=[figure_slide, empty], by=root)
    job = do(mine, run.job)
    assert job.state == State.SUCCEEDED, job.traceback
    places = sorted((sample.x, sample.y) for sample in run.samples.all())
    assert [(abs(x - a) < 12, abs(y - b) < 12) for (x, y), (a, b) in zip(places, [(200, 200), (450, 380)], strict=True)
            ] == [(True, True)] * 2  # fmt: skip
    sample = run.samples.first()
    assert len(sample.scores) == 8
    assert sample.least == min(sample.scores) >= 0.8
    assert run.slides.get(slide=figure_slide).counters["mined"] == 2
    assert run.slides.get(slide=empty).counters["mined"] == 0


class DarkWorker(DarkScorer):
    """As the worker asks a scorer for."""

    device_name, precision = "cpu", "fp32"


class BlindWorker(DarkWorker):
    """Finds nothing anywhere."""

    def logits(self, image):
        return super().logits(image) * 0 - 9


def test_the_loop_from_files_and_verdicts_to_a_judgement(drawn_set, root, active_model, figure_slide, make_slide):
    for name in LOCKED:
        case_lock(name=name, by=root)
    for x, y, label in [(200, 200, Label.MITOTIC), (350, 120, Label.NON_MITOTIC)]:
        figure_judge(slide=figure_slide, by=root, label=label, x=x, y=y)
    mined_slide = make_slide(image=draw_tissue(500, 400, mitoses=[(250, 200)], seed=8))
    run = mining_request(slides=[mined_slide], by=root)
    MinedSample.objects.create(run=run, slide=mined_slide, x=250, y=200, scores=[0.9] * 8, least=0.9, draw=0.5)
    training = training_request(by=root, name="second", sets=[drawn_set], mining=[run], plan=TINY)
    assert training.manifest["test"] == LOCKED
    assert len(training.manifest["validation"]) == 1
    assert len(training.manifest["mined"]) == 1
    assert {row["label"] for row in training.manifest["figures"]} == {"mitotic", "non_mitotic"}
    assert "nobody has judged" in training.warnings[0]
    assert training.warnings[1].startswith("Few mined samples take part: 1.")

    job = do(train, training.job)
    assert job.state == State.SUCCEEDED, job.traceback
    training.refresh_from_db()
    version = training.version
    assert (version.state, version.name) == ("candidate", "second")
    assert version.card["fg_wsi"] == 1
    assert training.curve[-1]["iteration"] == 9
    assert "max_f1" in training.curve[-1]
    assert any("hard negatives" in line["said"] for line in training.log)
    assert job.progress["done"] == 9

    judgement = Judgement.objects.get()
    job = do(judge, judgement.job)
    assert job.state == State.SUCCEEDED, job.traceback
    judgement.refresh_from_db()
    assert judgement.cases == LOCKED
    assert judgement.verdict in {"better", "worse", "cannot tell"}
    version.refresh_from_db()
    assert version.card["judgement"]["verdict"] == judgement.verdict
    assert len(list(judgement.folder.glob("*.jpeg"))) == len(judgement.result["differences"])


def test_a_worse_candidate_is_called_worse_and_false_alarms_are_counted(
    drawn_set, root, active_model, make_slide, monkeypatch, client_of
):
    for name in LOCKED:
        case_lock(name=name, by=root)
    free = make_slide(image=draw_tissue(700, 600, mitoses=[(200, 200)], seed=4))
    free_slide_add(slide=free, by=root)
    blind = ModelVersion.objects.create(name="blind", path="b.safetensors", sha256="b" * 64, card={})
    (active_model.file.parent / "b.safetensors").write_bytes(b"")
    monkeypatch.setattr(
        "worker.run_judgement.scorer_of", lambda model: BlindWorker() if model == blind else DarkWorker()
    )
    monkeypatch.setattr("worker.run_judgement.shifts_of", lambda model: {})
    judgement = judgement_request(version=blind, by=root)
    job = do(judge, judgement.job)
    assert job.state == State.SUCCEEDED, job.traceback
    assert job.progress["done"] == len(LOCKED) + 1
    judgement.refresh_from_db()
    assert (judgement.verdict, judgement.result["free_slides"]) == ("worse", 1)
    assert judgement.result["active"]["free_detections"] == 1
    page = client_of(root).get(f"/models/judgement/{judgement.pk}/").content.decode()
    assert '<span class="count">worse</span>' in page
    assert "It is worse than" in page, "asked before it is promoted all the same"
    blind.refresh_from_db()
    assert (blind.state, blind.card["judgement"]["verdict"]) == ("candidate", "worse")


def strike(monkeypatch, at, what):
    """Does something once the network has seen the batch of the `at`-th iteration from now."""
    seen, forward = [], ResNet12.forward

    def struck(self, x):
        logits = forward(self, x)
        seen.extend([None] * self.training)
        if self.training and len(seen) == at:
            what()
        return logits

    monkeypatch.setattr(ResNet12, "forward", struck)


def test_a_stopped_training_keeps_a_checkpoint_and_goes_on(drawn_set, root, active_model, monkeypatch):
    monkeypatch.setattr(worker.run_training, "_SAY_SECONDS", 0.0)
    training = training_request(by=root, name="stopped", sets=[drawn_set], plan=TINY)
    with monkeypatch.context() as patch:
        strike(patch, 4, lambda: job_cancel(job=training.job))
        assert do(train, training.job).state == State.CANCELLED
    assert (training.folder / "checkpoint.safetensors").exists()
    training.refresh_from_db()
    assert training.version is None
    assert do(train, job_retry(job=training.job)).state == State.SUCCEEDED


def test_a_set_whose_files_changed_is_not_trained_on(drawn_set, root, active_model):
    training = training_request(by=root, name="changed", sets=[drawn_set], plan=TINY)
    (drawn_set.folder / "labels" / "B00_00.csv").write_text("1,1\n")
    job = do(train, training.job)
    assert job.state == State.FAILED
    assert "have changed" in job.error


def test_a_field_that_no_plan_has_is_said(drawn_set, root, active_model):
    training = training_request(by=root, name="odd", sets=[drawn_set], plan={"changes": {"depth": 3}})
    job = do(train, training.job)
    assert "depth is no field of a plan" in job.error
