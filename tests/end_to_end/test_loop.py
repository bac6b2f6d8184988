"""Retraining by an administrator's clicks: import, lock, mine, judge samples, retrain, compare, promote, remove."""

from __future__ import annotations

import json
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detector.datasets import read_dataset
from detector.model.checkpoint import SHIPPED_WEIGHTS
from tests.tiled import write_tiled
from tests.worker.conftest import LOCKED, zipped  # noqa: F401  a fixture
from tests.worker.test_retraining import TINY, do
from webapp.annotations.models import Run
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_activate, version_register
from webapp.retraining.models import Judgement, LabelledSet, LockedCase, MiningRun, TrainingRun
from webapp.slides.models import Slide
from webapp.slides.services import slide_create
from worker.tasks import detect, ingest, judge, mine, train


@pytest.fixture
def shipped(settings, transactional_db):
    """The real detector, in one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    settings.MODEL_DIR = SHIPPED_WEIGHTS.parent
    version = version_register(weights=SHIPPED_WEIGHTS)
    version_activate(version=version)
    yield version
    torch.set_num_threads(before)


def finished(task, job: Job) -> None:
    do(task, job)
    assert job.state == State.SUCCEEDED, job.traceback


@dataclass(frozen=True)
class Given:
    """What retraining begins with. samples: as many as are mined at least."""

    labelled: Path
    locked: list[str]
    unlabelled: Slide
    samples: int


@pytest.fixture
def drawn_frames(slide, zipped) -> Given:  # noqa: F811
    return Given(zipped, LOCKED, slide, 5)


@pytest.fixture
def real_frames(real_data, tmp_path, study, root) -> Given:
    """MITOS 2012: a part of one frame each of A00, A01 and A04, the last by another name, as the shipped weights have
    learnt from it; parts of two frames of A02 are tiled into a slide, and their labels are not told to anybody."""
    labelled = tmp_path / "mitos12.zip"
    with zipfile.ZipFile(labelled, "w") as archive:
        for name in ("A00_01", "A01_01", "A04_01"):
            for path in write_part(real_data / "mitos12", name, tmp_path / "told"):
                archive.write(path, str(path.relative_to(tmp_path / "told")).replace("A04", "B04"))
    for name in ("A02_02", "A02_04"):
        write_part(real_data / "mitos12", name, tmp_path / "hidden")
    (case,) = read_dataset(tmp_path / "hidden")
    write_tiled(tmp_path / "A02.tif", case)
    tiled = slide_create(
        study=study, case_identifier="A02", name="A02.tif", file=tmp_path / "A02.tif", user=root, detect=False
    )
    finished(ingest, job_create(kind=Job.Kind.INGEST, slide=tiled, by=root))
    return Given(labelled, ["B04"], Slide.objects.get(pk=tiled.pk), 1)


def write_part(dataset: Path, name: str, to: Path, side: int = 1000) -> tuple[Path, Path]:
    """Write the square of a frame of MITOS 2012 around its first mitosis, and the mitoses in it, as a frame."""
    frame, labels = to / f"frames/{name}.jpg", to / f"labels/{name}.csv"
    lines = [line for line in (dataset / f"labels/{name}.csv").read_text().splitlines() if line]
    pixels = [np.fromstring(line.strip(","), sep=",").reshape(-1, 2) for line in lines]
    with Image.open(dataset / f"frames/{name}.jpg") as image:
        corner = np.clip(pixels[0].mean(axis=0).astype(int) - side // 2, 0, np.array(image.size) - side)
        part = image.crop((*corner, *(corner + side)))
    moved = [blob.astype(int) - corner for blob in pixels]
    inside = [blob for blob in moved if ((blob >= 0) & (blob < side)).all()]
    for path in (frame, labels):
        path.parent.mkdir(parents=True, exist_ok=True)
    part.save(frame, quality=95)
    labels.write_text("".join(",".join(map(str, blob.ravel())) + "\n" for blob in inside))
    return frame, labels


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(
            "drawn_frames",
            marks=pytest.mark.skipif(bool(os.environ.get("MITOSCOPE_DATA")), reason="retraining is run on real frames"),
        ),
        "real_frames",
    ],
)
def test_retraining_by_clicks(shipped, root, open_as, frames, request):
    given: Given = request.getfixturevalue(frames)
    page = open_as(root, "/models/", allow=("409",))  # what is refused is meant
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("a.button:text-is('Retraining')")
    import_and_lock(page, given)
    run = mine_and_judge_a_sample(page, given)
    training = retrain(page, given, run)
    promote(page, training)
    detect_again(page, given.unlabelled, shipped, training.version)
    go_from_the_slide_to_its_samples(page, given.unlabelled, run)
    go_to(page, "/models/retraining/")
    with page.expect_navigation():
        page.click("button:has-text('Roll back')")
    assert ModelVersion.objects.get(state="active") == shipped
    offer_a_locked_case(page, run, given.unlabelled.case.identifier, root)
    remove_the_slide(page, training)


def go_to(page, path: str) -> None:
    page.goto(page.evaluate("location.origin") + path)


def import_and_lock(page, given: Given) -> None:
    page.fill("#known [name=name]", "labelled")
    page.set_input_files("#known [name=file]", str(given.labelled))
    with page.expect_navigation():
        page.click("#known button:text-is('Import')")
    finished(ingest, LabelledSet.objects.get().job)
    page.reload()
    for name in given.locked:
        with page.expect_navigation():
            page.click(f"[aria-label='Lock {name}']")
    assert page.locator("#known .tag.good").count() == len(given.locked)


def mine_and_judge_a_sample(page, given: Given) -> MiningRun:
    page.click("#mine a:has-text('Choose slides')")
    page.fill("[name=search]", given.unlabelled.case.identifier)
    page.click("button:text-is('Show')")
    page.wait_for_selector("text=Showing 1 of 1 unlabelled")
    page.click("#mine button:has-text('cost')")
    page.wait_for_selector("#cost:has-text('1 slide,')")
    page.click("#mine button.primary")
    page.wait_for_url(re.compile(r"/models/mining/[0-9a-f-]{36}/$"))
    run = MiningRun.objects.get()
    finished(mine, run.job)
    assert run.samples.count() >= given.samples
    page.reload()
    with page.expect_navigation():
        page.click("[aria-label='Yes, sample 1 is mitotic']")
    assert page.locator("#precision .count").inner_text() == "1.00"
    assert "not known yet" in page.locator("#precision").inner_text()
    return run


def retrain(page, given: Given, run: MiningRun) -> TrainingRun:
    page.click("a:has-text('Retrain with these')")
    assert page.is_checked("#retrain [name=mining]")
    page.fill("#retrain [name=name]", "second")
    page.fill("[name='plan.iterations']", str(TINY["iterations"]))
    page.click("text=Other fields of the plan")
    page.fill("[name='plan.changes']", json.dumps(TINY["changes"]))
    page.click("#retrain button.primary")
    page.wait_for_url("**/models/training/**")
    training = TrainingRun.objects.get()
    assert len(training.manifest["mined"]) == run.samples.count()
    assert not set(training.manifest["train"]) & set(given.locked)
    finished(train, training.job)
    page.wait_for_selector("#loss svg polyline")
    page.wait_for_selector("#log li:has-text('Done')")
    page.wait_for_selector("#state:text-is('done')")
    return training


def promote(page, training: TrainingRun) -> None:
    judgement = Judgement.objects.get()
    finished(judge, judgement.job)
    judgement.refresh_from_db()
    go_to(page, f"/models/judgement/{judgement.pk}/")
    assert page.locator("#verdict .count").inner_text() == judgement.verdict
    page.wait_for_selector("#curves svg polyline")
    page.fill("#verdict [name=reason]", "to see retraining through")
    with page.expect_navigation():
        page.click("#verdict button.primary")
    training.refresh_from_db()
    assert ModelVersion.objects.get(state="active") == training.version


def detect_again(page, slide: Slide, before: ModelVersion, promoted: ModelVersion) -> None:
    Run.objects.create(
        slide=slide, model=before, model_sha256=before.sha256, parameters={}, mpp_x=0.25, mpp_y=0.25, code_version="",
        device="cpu", precision="fp32", windows_total=1, windows_skipped=0, candidate_count=0,
    )  # fmt: skip
    page.reload()
    page.check(f"#rerun [value='{slide.pk}']")
    page.click("#rerun button.primary")
    page.wait_for_url("**/jobs/")
    finished(detect, Job.objects.get(kind="detect"))
    assert slide.runs.order_by("-created_at").first().model == promoted


def go_from_the_slide_to_its_samples(page, slide: Slide, run: MiningRun) -> None:
    go_to(page, f"/slides/{slide.pk}/")
    page.click("#tab-stamp")
    page.click("#stamp a:has-text('samples')")
    assert page.locator(".sample").count() == min(run.samples.count(), 60)
    assert "confirmed by root" in page.inner_text("main")
    page.click(".sample a >> nth=0")
    page.wait_for_url(f"**/slides/{slide.pk}/#x=*")


def offer_a_locked_case(page, run: MiningRun, name: str, root) -> None:
    locked = LockedCase.objects.create(name=name, by=root)
    go_to(page, f"/models/retraining/?mining={run.pk}")
    page.fill("#retrain [name=name]", "third")
    page.click("#retrain button.primary")
    page.wait_for_selector("#problem:has-text('Locked test case')")
    assert TrainingRun.objects.count() == 1, "a case of the test split that is offered is refused"
    locked.delete()


def remove_the_slide(page, training: TrainingRun) -> None:
    go_to(page, "/models/removal/")
    page.click("form:has([name=slide]) button")
    assert "second" in page.locator("#affected").inner_text()
    page.fill("#affected [name=reason]", "consent withdrawn")
    with page.expect_navigation():
        page.click("#affected button.primary")
    assert "consent withdrawn" in page.inner_text("#affected")
    page.click("#affected button:has-text('Train without it')")
    page.wait_for_url("**/models/training/**")
    again = TrainingRun.objects.order_by("-at").first()
    assert again.name == "second, without"
    assert (len(again.manifest["mined"]), again.manifest["sets"]) == (0, training.manifest["sets"])
