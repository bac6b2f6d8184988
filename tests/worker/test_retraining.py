"""The loop as workers do it, on drawn frames and slides: import, mine, train, judge; killed, stopped, two at once."""

from __future__ import annotations

import zipfile

import pytest
import torch
from PIL import Image

import worker.run_training
from detector.checkpoint import load_weights
from detector.network import ResNet12
from tests.drawing import DarkScorer, draw_hpf, draw_tissue
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.jobs.services import job_cancel, job_retry
from webapp.jobs.states import State
from webapp.retraining.models import Judgement, MinedSample
from webapp.retraining.services import case_lock, mining_request, set_import, training_request
from worker.tasks import ingest, judge, mine, train

TINY = {
    "iterations": 9,
    "device": "cpu",
    "changes": {
        "widths": [4, 4, 6, 6, 8, 8], "foreground_per_batch": 2, "background_per_batch": 6, "average": 0.8,
        "hard_negatives_at": [1200], "evaluate_every": 2000, "checkpoint_every": 1000,
    },
}  # fmt: skip
LOCKED = [f"B0{i}" for i in range(2, 7)]
CASES = ["B00", "B01", *LOCKED]


@pytest.fixture(autouse=True)
def one_thread():
    """So small a network computes faster in one thread, the more so where other tests run beside it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    """A set of seven cases in the layout of MITOS 2012, as a zip."""
    folder = tmp_path_factory.mktemp("set")
    path = folder / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, case in enumerate(CASES):
            hpf = draw_hpf(f"{case}_00", seed=number)
            Image.fromarray(hpf.image).save(folder / "frame.png")
            archive.write(folder / "frame.png", f"frames/{case}_00.png")
            archive.writestr(f"labels/{case}_00.csv", "".join(f"{x},{y}\n" for x, y in hpf.mitoses - 0.5))
    return path


@pytest.fixture
def drawn_set(zipped, root):
    made = set_import(name="drawn", source=zipped, by=root)
    ingest(shard_pk=made.job.shards.get().pk)
    made.job.refresh_from_db()
    assert made.job.state == State.SUCCEEDED, made.job.traceback
    return made


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


def test_what_is_no_labelled_set_is_said_in_words(root, tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    job = do(ingest, set_import(name="x", source=path, by=root).job)
    assert job.state == State.FAILED
    assert "no data set that can be read" in job.error


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
