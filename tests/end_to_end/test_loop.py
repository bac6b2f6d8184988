"""The whole loop by an administrator's clicks: import, lock, mine, judge samples, retrain, compare, promote, remove."""

from __future__ import annotations

import json

import pytest
import torch

from detector.checkpoint import SHIPPED_WEIGHTS
from tests.worker.test_retraining import LOCKED, TINY, do, zipped  # noqa: F401  a fixture
from webapp.annotations.models import Run
from webapp.jobs.models import Job
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_activate, version_register
from webapp.retraining.models import Judgement, LabelledSet, MiningRun, TrainingRun
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


def test_the_whole_loop_by_clicks(shipped, slide, root, open_as, zipped):  # noqa: F811
    page = open_as(root, "/models/")
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("a.button:text-is('Retraining')")

    page.fill("#known [name=name]", "drawn")
    page.set_input_files("#known [name=file]", str(zipped))
    with page.expect_navigation():
        page.click("#known button:text-is('Import')")
    finished(ingest, LabelledSet.objects.get().job)
    page.reload()
    for name in LOCKED:
        with page.expect_navigation():
            page.click(f"[aria-label='Lock {name}']")
    assert page.locator("#known .tag.good").count() == len(LOCKED)

    page.click("#mine button:has-text('cost')")
    page.wait_for_selector("#cost:has-text('1 slides')")
    page.click("#mine button.primary")
    page.wait_for_url("**/models/mining/**")
    run = MiningRun.objects.get()
    finished(mine, run.job)
    assert run.samples.count() > 5
    page.reload()
    for number in (1, 2):
        with page.expect_navigation():
            page.click(f"[aria-label='Sample {number} is mitotic']")
    assert page.locator("#precision .count").inner_text() == "1.00"
    assert "not known yet" in page.locator("#precision").inner_text()

    page.goto(page.url.split("/models/")[0] + "/models/retraining/")
    page.fill("#retrain [name=name]", "second")
    page.fill("[name='plan.iterations']", str(TINY["iterations"]))
    page.check("#retrain [name=mining]")
    page.click("text=Other fields of the plan")
    page.fill("[name='plan.changes']", json.dumps(TINY["changes"]))
    page.click("#retrain button.primary")
    page.wait_for_url("**/models/training/**")
    training = TrainingRun.objects.get()
    assert len(training.manifest["mined"]) == run.samples.count()
    assert not set(training.manifest["train"]) & set(LOCKED)
    finished(train, training.job)
    page.wait_for_selector("#loss svg polyline")
    page.wait_for_selector("#log li:has-text('Done')")
    assert page.locator("#state").inner_text() == "done"

    judgement = Judgement.objects.get()
    finished(judge, judgement.job)
    judgement.refresh_from_db()
    page.goto(page.url.split("/models/")[0] + f"/models/judgement/{judgement.pk}/")
    assert page.locator("#verdict .count").inner_text() == judgement.verdict
    page.wait_for_selector("#curves svg polyline")
    page.fill("#verdict [name=reason]", "to see the loop closed")
    with page.expect_navigation():
        page.click("#verdict button.primary")
    training.refresh_from_db()
    assert ModelVersion.objects.get(state="active") == training.version

    Run.objects.create(
        slide=slide, model=shipped, model_sha256=shipped.sha256, parameters={}, mpp_x=0.25, mpp_y=0.25, code_version="",
        device="cpu", precision="fp32", windows_total=1, windows_skipped=0, candidate_count=0,
    )  # fmt: skip
    page.reload()
    page.check(f"#rerun [value='{slide.pk}']")
    page.click("#rerun button.primary")
    page.wait_for_url("**/jobs/")
    finished(detect, Job.objects.get(kind="detect"))
    assert slide.runs.order_by("-created_at").first().model == training.version

    page.goto(page.url.split("/jobs/")[0] + "/models/retraining/")
    with page.expect_navigation():
        page.click("button:has-text('Roll back')")
    assert ModelVersion.objects.get(state="active") == shipped
    page.goto(page.url.split("/models/")[0] + "/models/removal/")
    page.click("form:has([name=slide]) button")
    assert "second" in page.locator("#affected").inner_text()
    page.fill("#affected [name=reason]", "consent withdrawn")
    page.click("#affected button.primary")
    page.wait_for_url("**/models/retraining/")
    assert "consent withdrawn" in page.content()
