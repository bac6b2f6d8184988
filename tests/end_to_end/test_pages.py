"""The pages around the slide: worklist, slides, cases, jobs, models; full, empty, failed and forbidden."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.template.loader import render_to_string
from django.utils import timezone
from PIL import Image

from detector.evaluation.compare import RULE, decide
from tests.browser import offences, shoot, too_wide
from webapp.annotations.models import Label
from webapp.annotations.services import detection_request, figure_judge
from webapp.jobs.models import Job
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.retraining.judgements import judgement_request, judgement_save
from webapp.retraining.locked_cases import case_lock
from webapp.retraining.mining import mining_request
from webapp.retraining.models import LabelledFrame, LabelledSet, MinedSample, TrainingRun
from webapp.retraining.removals import removal_make
from webapp.retraining.trainings import training_request
from webapp.slides.models import Slide

pytestmark = pytest.mark.flaky(reruns=2)  # a browser on a busy machine misses a moment now and then


@pytest.fixture
def slides(transactional_db, make_slide, make_run, alice):
    """One slide of each kind."""
    read, unread = make_slide(name="read.tif"), make_slide(name="unread.tif")
    make_run(read, [(100, 100, 0.9)])
    figure_judge(slide=read, by=alice, label=Label.MITOTIC, x=100, y=100)
    make_run(unread, [(100, 100, 0.9), (300, 200, 0.7)])
    figure_judge(slide=unread, by=alice, label=Label.MITOTIC, x=100, y=100)
    waiting, failed = make_slide(name="waiting.tif"), make_slide(name="failed.tif")
    job = detection_request(slide=waiting, by=alice)
    minute_ago = timezone.now() - timedelta(seconds=60)
    progress = {"units_total": 400, "units_done": 260, "units_skipped": 90}
    job.shards.update(state=State.RUNNING, claim=job.pk, started_at=minute_ago, **progress)
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING)
    broken = detection_request(slide=failed, by=alice)
    Job.objects.filter(pk=broken.pk).update(state=State.FAILED, error="The file broke off at tile 7.")
    queued = [make_slide(name=f"queued-{i}.tif") for i in (1, 2)]
    for slide in queued:
        detection_request(slide=slide, by=alice)
    make_slide(name="unscaled.png", mpp=None)
    make_slide(name="refused.svs", state=Slide.State.REFUSED, remark="This is neither a slide nor a picture.")
    return {slide.name.split(".")[0]: slide for slide in Slide.objects.all()}


def names(page):
    return {name.split(".")[0] for name in page.locator("#rows tbody strong").all_inner_texts()}


def open_group(page, name):
    """Click a group of the worklist and wait until the page shows it."""
    page.click(f".groups a:text-matches('^{name}')")
    page.wait_for_selector(f".groups a[aria-current]:text-matches('^{name}')")
    page.wait_for_load_state()


def test_the_worklist_says_what_is_to_read_what_waits_and_what_asks(slides, open_as, alice):
    page = open_as(alice, "/")
    assert names(page) == {"unread", "waiting", "queued-1", "queued-2", "failed", "unscaled", "refused"}
    assert "1 of 2" in page.inner_text("#rows")
    assert page.locator(".groups a").all_inner_texts() == [
        "Mine to read 0", "Open 7", "To read 1", "Waiting for detection 3", "Needs your input 3", "Read 1",
    ]  # fmt: skip
    shoot(page, "worklist")
    for group, wanted in (
        ("Waiting", {"waiting", "queued-1", "queued-2"}),
        ("Needs", {"failed", "unscaled", "refused"}),
        ("Read", {"read"}),
    ):
        open_group(page, group)
        assert names(page) == wanted, group
        shoot(page, f"worklist-{group.split()[0].lower()}")
    assert offences(page) == []


def test_a_slide_is_taken_to_read_given_on_and_found_under_mine(slides, open_as, alice, root):
    page = open_as(alice, "/?show=to-read")
    page.select_option("tr:has-text('unread.tif') select", "alice")
    page.wait_for_selector("#assigned:has-text('unread.tif is assigned to alice')")
    open_group(page, "Mine")
    assert names(page) == {"unread"}
    shoot(page, "worklist-mine")
    page.click("strong:has-text('unread.tif')")
    page.wait_for_selector("body[data-candidates='2']")
    page.select_option("select.reader", "")
    page.wait_for_selector("#assigned:has-text('has no reader')", state="attached")
    assert Slide.objects.get(name="unread.tif").reader is None


def test_every_page_is_accessible_in_both_lights(slides, model, open_as, root):
    page = open_as(root, "/?show=asking", allow=("404", "500"))
    page.route("**/broken/", lambda route: route.fulfill(status=500, body=render_to_string("500.html")))
    server = page.url.split("/?")[0]
    for name, path in {
        "worklist-asking": "/?show=asking", "slides": "/slides/", "cases": "/cases/", "jobs": "/jobs/",
        "case": f"/cases/{slides['unread'].case_id}/", "models": "/models/", "model": f"/models/{model.pk}/",
        "slide-refused": f"/slides/{slides['refused'].pk}/", "slide-unscaled": f"/slides/{slides['unscaled'].pk}/",
        "slide-waiting": f"/slides/{slides['waiting'].pk}/", "report": f"/slides/{slides['read'].pk}/report/",
        "report-check": "/reports/check/?hash=0", "tokens": "/tokens/", "health": "/health/", "server": "/server/",
        "notices": "/notices/", "glossary": "/glossary/", "webhooks": "/webhooks/", "people": "/people/",
        "studies": "/studies/", "overview": f"/studies/{slides['read'].case.study_id}/overview/",
        "study": f"/studies/{slides['read'].case.study_id}/", "readings": "/readings/",
        "study-readings": f"/studies/{slides['read'].case.study_id}/readings/",
        "disagreements": f"/studies/{slides['read'].case.study_id}/disagreements/",
        "retraining": "/models/retraining/", "removal": "/models/removal/", "nothing": "/nothing/",
        "broken": "/broken/",
    }.items():  # fmt: skip
        page.goto(server + path)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert offences(page, contrast_alone=scheme == "dark") == [], (name, scheme)
            shoot(page, f"page-{name}-{scheme}")
        assert too_wide(page) == [], name
    page.context.clear_cookies()
    page.goto(server)
    assert offences(page) == []
    shoot(page, "page-login-dark")


@pytest.fixture
def loop(transactional_db, drawn, make_slide, model, root):
    """Something on every page of retraining; returns their addresses by name."""
    slide = make_slide(name="mined.tif", image=drawn)
    make_slide(name="unlabelled.tif")
    labelled = LabelledSet.objects.create(name="Two laboratories", sha256="a" * 64, by=root)
    LabelledFrame.objects.bulk_create(
        LabelledFrame(
            labelled_set=labelled, name=f"L{i}_00", case=f"L{i}", source="North" if i % 2 else "South", mpp=0.25,
            width=300, height=300, mitoses=[[10, 10]], non_mitoses=[], exhaustive=True,
        )
        for i in range(8)
    )  # fmt: skip
    for name in ("L3", "L4", "L5", "L6", "L7"):
        case_lock(name=name, by=root)
    run = mining_request(slides=[slide], by=root)
    MinedSample.objects.bulk_create(
        MinedSample(
            run=run, slide=slide, x=300 + 250 * (i % 6), y=350 + 300 * (i // 6), scores=[0.99 - i / 80] * 8,
            least=0.99 - i / 80, draw=i / 12, verdict="mitotic" if i < 8 else "non_mitotic" if i < 9 else "",
        )
        for i in range(12)
    )  # fmt: skip
    training = training_request(by=root, name="North and South", sets=[labelled], mining=[run])
    rows = [
        {"iteration": i, "learning_rate": 1e-4 / 10 ** (i // 40), "loss": 0.7 / (1 + i / 9), "bg_hard": 4 * (i // 20)}
        for i in range(1, 101, 3)
    ]
    rows[-1] |= {"max_f1": 0.71, "f1_at_0.5": 0.66}
    version = ModelVersion.objects.create(name="North and South", path="n.safetensors", sha256="1" * 64, card={})
    log = [{"at": timezone.now().isoformat(), "said": "Iteration 60: 12 new hard negatives, 12 in all."}]
    TrainingRun.objects.filter(pk=training.pk).update(curve=rows, log=log, version=version)
    judgement = judgement_request(version=version, by=root)
    differences = [
        {"case": "L3", "frame": f"L3_{i:02}", "x": 10.0, "y": 10.0, "score": 0.9, "other": 0.1 + i / 40,
         "by": "candidate" if i % 3 else "active", "right": i % 2 == 0}
        for i in range(9)
    ]  # fmt: skip
    result = {
        "candidate": side(0.78, 9), "active": side(0.7, 1), "difference": {"max_f1": [0.08, 0.02, 0.14],
        "f1": [0.06, -0.01, 0.12]}, "cases": 5, "verdict": "cannot tell", "rule": RULE, "free_slides": 1,
        "differences": differences, "differences_total": 24, "device": "cpu",
        "why": decide({"max_f1": (0.08, 0.02, 0.14), "f1": (0.06, -0.01, 0.12)}, 5, (9, 1))[1],
    }  # fmt: skip
    judgement_save(judgement=judgement, result=result)
    judgement.folder.mkdir(parents=True)
    for i in range(len(differences)):
        place = drawn[180 : 180 + 128, 90 * i : 90 * i + 128]
        Image.fromarray(place).save(judgement.folder / f"{i}.jpeg")
    removal_make(slide=slide, by=root, reason="Consent withdrawn")
    return {
        "retraining": "/models/retraining/", "choose": "/models/mining/", "mining": f"/models/mining/{run.pk}/",
        "training": f"/models/training/{training.pk}/", "judgement": f"/models/judgement/{judgement.pk}/",
        "samples": f"/models/{version.pk}/samples/", "removal": f"/models/removal/?slide={slide.pk}",
    }  # fmt: skip


def side(best, alone):
    """What a judgement says of one version."""
    points = [
        {"threshold": 1 - i / 20, "recall": i / 20, "precision": best**0.2 * (1 - (i / 20) ** 4)} for i in range(20)
    ]
    source = {"cases": 3, "mitoses": 40, "max_f1": best - 0.02}
    return {
        "max_f1": best, "max_f1_interval": [best - 0.1, best + 0.1], "f1_at_0.5": best - 0.05,
        "f1_at_0.5_interval": [best - 0.14, best + 0.05], "precision": best**0.2 * 0.76, "recall": 0.7,
        "curve": points,
        "by_source": {"North": source, "South": source}, "free_mm2": 41.2, "free_detections": 9 + alone,
        "free_alone": alone, "free_per_mm2": round((9 + alone) / 41.2, 3), "seconds_per_mm2": 2.9,
    }  # fmt: skip


def test_every_page_of_the_loop_is_accessible_in_both_lights(loop, open_as, root):
    page = open_as(root, "/models/")
    for name, path in loop.items():
        page.goto(page.url.split("/models/")[0] + path)
        page.wait_for_load_state("networkidle")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert offences(page, contrast_alone=scheme == "dark") == [], (name, scheme)
            shoot(page, f"loop-{name}-{scheme}")
        assert too_wide(page) == [], name


def test_jobs_tell_the_truth_about_progress(slides, open_as, alice):
    page = open_as(alice, "/jobs/")
    row = page.locator("tr:has-text('waiting.tif')")
    assert "260 of 400 windows" in row.inner_text()
    assert "90 skipped as glass" in row.inner_text()
    assert re.search(r"about (4|5|6)\d s left", row.inner_text())
    assert "number 2 in the queue" in page.inner_text("tr:has-text('queued-2.tif')")
    assert "The file broke off at tile 7." in page.inner_text("tr:has-text('failed.tif')")
    order = page.locator("#rows tbody td:nth-child(2)").all_inner_texts()
    assert order == ["waiting.tif", "queued-1.tif", "queued-2.tif", "failed.tif"]
    shoot(page, "jobs")


def test_a_forbidden_page_says_so(open_as, alice):
    page = open_as(alice, "/models/retraining/", allow=("403",))
    page.wait_for_selector("h1:has-text('Not allowed')")
    assert offences(page) == []
    shoot(page, "forbidden")


def test_empty_pages_say_what_to_do_and_forbidden_ones_what_is_so(run, open_as, bob):
    page = open_as(bob, "/", allow=("404",))
    page.wait_for_selector("h2:has-text('Nothing to read')")
    shoot(page, "empty-worklist")
    for path, words in {"/slides/": "No slides yet", "/cases/": "No cases yet", "/jobs/": "No jobs yet"}.items():
        page.click(f"nav a[href='{path}']")
        page.wait_for_selector(f"h2:has-text('{words}')")
    page.goto(page.url.replace("/jobs/", f"/slides/{run.slide_id}/"))
    page.wait_for_selector("h1:has-text('Not found')")
    assert offences(page) == []
    shoot(page, "not-found")


def test_a_model_version_shows_where_it_was_used(run, open_as, alice):
    page = open_as(alice, f"/models/{run.model_id}/")
    page.click("a:has-text('B-17.tif')")
    page.wait_for_selector("body[data-candidates='40']")
