"""Pages of retraining follow their jobs; mined samples are judged by keys; after a promotion there is a way back."""

from __future__ import annotations

import re
from pathlib import Path

from tests.end_to_end import test_pages
from webapp.jobs.models import Job
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_promote
from webapp.retraining.models import Judgement, LabelledSet, MinedSample, MiningRun

loop = test_pages.loop


def open_jobs(state: State) -> None:
    Job.objects.filter(slide=None).update(state=state)


def test_pages_show_what_comes_and_leave_a_form_alone(loop, open_as, root):
    open_jobs(State.RUNNING)
    page = open_as(root, loop["mining"])
    run, sample = MiningRun.objects.get(), MinedSample.objects.all()[0]
    MinedSample.objects.create(run=run, slide=sample.slide, x=900, y=900, scores=[0.97] * 8, least=0.97, draw=0.99)
    page.wait_for_selector("dd:has-text('13, 13 not rejected')")
    page.fill("[name=below]", "0.9")
    MinedSample.objects.create(run=run, slide=sample.slide, x=950, y=900, scores=[0.96] * 8, least=0.96, draw=0.99)
    page.wait_for_timeout(4000)
    assert page.input_value("[name=below]") == "0.9" and page.locator("dd:has-text('13, 13')").count() == 1
    page.fill("[name=below]", "")
    page.locator("h1").click()
    page.wait_for_selector("dd:has-text('14, 14 not rejected')")


def test_a_comparison_appears_when_it_is_done(loop, open_as, root):
    judgement = Judgement.objects.get()
    result = judgement.result
    Judgement.objects.update(result=None)
    open_jobs(State.RUNNING)
    page = open_as(root, loop["judgement"])
    page.wait_for_selector("text=The comparison is running")
    Judgement.objects.update(result=result)
    open_jobs(State.SUCCEEDED)
    page.wait_for_selector("#curves svg")  # with what the scripts draw


def test_mined_samples_are_judged_by_keys(loop, open_as, root):
    open_jobs(State.SUCCEEDED)
    page = open_as(root, loop["mining"])
    left = MinedSample.objects.filter(verdict="").order_by("draw")
    first, second, third = left
    current = page.locator(".sample.current")
    assert current.get_attribute("data-sample") == str(first.pk)
    page.keyboard.press("m")
    page.wait_for_selector("#so-far:has-text('10 judged')")
    assert page.locator(f"[data-sample='{first.pk}'] [data-said]").inner_text() == "mitotic figure"
    assert not page.locator(f"[data-sample='{second.pk}'] [data-said]").is_visible()
    assert current.get_attribute("data-sample") == str(second.pk)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("u")
    page.wait_for_selector("#so-far:has-text('11 judged')")
    page.keyboard.press("n")  # the one that was passed over
    page.wait_for_selector("#precision .count-label:has-text('9 of 12 judged')")
    said = dict(MinedSample.objects.filter(pk__in=[first.pk, second.pk, third.pk]).values_list("pk", "verdict"))
    assert said == {first.pk: "mitotic", second.pk: "non_mitotic", third.pk: "unsure"}


def test_keys_judge_what_is_shown_after_more_was_mined(loop, open_as, root):
    open_jobs(State.RUNNING)
    page = open_as(root, loop["mining"])
    run, sample = MiningRun.objects.get(), MinedSample.objects.all()[0]
    MinedSample.objects.create(run=run, slide=sample.slide, x=900, y=900, scores=[0.97] * 8, least=0.97, draw=0.99)
    page.wait_for_selector("dd:has-text('13, 13 not rejected')")
    first = MinedSample.objects.filter(verdict="").order_by("draw")[0]
    page.keyboard.press("n")
    page.wait_for_selector(f"[data-sample='{first.pk}'] [data-said]:has-text('not a mitotic figure')")


def test_after_a_promotion_the_page_says_so_and_leads_back(loop, open_as, root, settings, tmp_path):
    settings.MODEL_DIR = tmp_path / "models"
    open_jobs(State.SUCCEEDED)
    version, before = Judgement.objects.get().version, ModelVersion.objects.get(state="active")
    for one in (version, before):
        path = Path(settings.MODEL_DIR) / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
    version_promote(version=version, by=root, reason="better")
    page = open_as(root, loop["judgement"])
    assert re.search(f"{version} is the active version since .* instead of {before}", page.inner_text("#promoted"))
    test_pages.shoot(page, "loop-promoted")
    page.on("dialog", lambda dialog: dialog.accept())
    page.click(f"button:has-text('Go back to {before}')")
    page.wait_for_selector(f"button:has-text('Promote {version}')")
    assert ModelVersion.objects.get(state="active") == before


def test_a_set_that_failed_is_removed(loop, open_as, root):
    LabelledSet.objects.create(
        name="Broken", sha256="b" * 64, by=root, job=Job.objects.create(kind=Job.Kind.INGEST, state=State.FAILED)
    )
    open_jobs(State.SUCCEEDED)
    Job.objects.filter(labelled_set__name="Broken").update(state=State.FAILED)
    page = open_as(root, loop["retraining"])
    page.click("[aria-label='Remove Broken']")
    page.wait_for_selector("text=Broken", state="detached")
    assert LabelledSet.objects.count() == 1
