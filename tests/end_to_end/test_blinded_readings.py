"""Two readers at once, each blind to the other, and a third who settles what they disagree on."""

from __future__ import annotations

import pytest

from tests.browser import offences, saved, shoot, too_wide
from webapp.annotations.models import Figure, Label
from webapp.slides.models import Membership, Reading

pytestmark = pytest.mark.flaky(reruns=2)  # a browser on a busy machine misses a moment now and then


@pytest.fixture
def people(run, django_user_model):
    """Members of the study by name."""
    study = run.slide.case.study
    roles = {"ben": "reader", "carla": "reader", "manager": "manager"}
    made = {name: django_user_model.objects.create_user(name, password="pw") for name in roles}
    for name, user in made.items():
        Membership.objects.create(study=study, user=user, role=roles[name])
    return made


def begin(open_as, run, manager, rounds="shown"):
    """A manager chooses the slide and its readers."""
    page = open_as(manager, f"/studies/{run.slide.case.study_id}/readings/")
    for name in ("alice", "ben"):
        page.check(f"[name=readers][value={name}]")
    page.check(f"[name=slides][value='{run.slide_id}']")
    page.select_option("[name=rounds]", rounds)
    shoot(page, "readings-begin")
    page.click("button:has-text('Begin')")
    page.wait_for_selector("[role=status]:has-text('2 readings begin')")
    return page


def test_two_read_at_once_and_a_third_settles(run, open_as, alice, people):
    manager = begin(open_as, run, people["manager"])
    pages = {}
    for user, keys in ((alice, "mmn"), (people["ben"], "mnn")):
        page = pages[user.username] = open_as(user, "/")
        page.click("a:has-text('My readings: 1 to do')")
        assert offences(page) == []
        page.click("button:has-text('Read')")
        page.wait_for_selector("[aria-label='Blinded reading']")
        page.wait_for_selector("#gallery li")
        page.keyboard.press("j")
        for key in keys:
            page.keyboard.press(key)
        saved(page)
        page.wait_for_selector("#judged:has-text('3 judged')")
    ben = pages["ben"]
    shoot(ben, "readings-copy")
    assert not ben.locator("#report-link").is_visible() and "2 mitotic" not in ben.inner_text("#judged")
    assert offences(ben) == []
    assert manager.goto(manager.url) and "done" not in manager.inner_text(".list tbody")
    for name, page in pages.items():
        page.once("dialog", lambda dialog: dialog.accept())
        page.click("button:has-text('I am done')")
        page.wait_for_url("**/readings/")
        if name == "alice":
            page.wait_for_selector("tr:has-text('the others are not yet')")
            manager.reload()
            assert "alice: done" in manager.inner_text(".list tbody") and "ben: reading" in manager.inner_text(".list")
    ben.wait_for_selector("h2:has-text('Nothing to read blinded')")
    manager.reload()
    manager.wait_for_selector("h2:has-text('Agreement')")
    assert "alice ben 1 3 0.667" in " ".join(manager.inner_text("[aria-label=Agreement] tbody tr").split())
    assert offences(manager) == [] and too_wide(manager) == []
    shoot(manager, "readings-agreement")
    manager.click("a:has-text('Settle 1 disagreement')")
    page = open_as(alice, f"/studies/{run.slide.case.study_id}/disagreements/", allow=("403",))
    page.keyboard.press("m")
    page.wait_for_selector("#problem:has-text('settle it together; anybody else')")
    carla = open_as(people["carla"], f"/studies/{run.slide.case.study_id}/disagreements/")
    assert "alice: mitotic figure" in carla.inner_text("figure") and "ben: not a mitotic figure" in carla.inner_text(
        "figure"
    )
    assert offences(carla) == [] and too_wide(carla) == []
    shoot(carla, "readings-disagreements")
    carla.keyboard.press("n")
    carla.wait_for_selector("h2:has-text('Nothing to settle')")
    figure = Figure.objects.get(slide=run.slide, disputed=False, label=Label.NON_MITOTIC, version=4)
    assert [verdict.by and verdict.by.username for verdict in figure.verdicts.all()] == ["alice", "ben", None, "carla"]


def test_hidden_candidates_are_nowhere_on_the_page(run, open_as, alice, people):
    begin(open_as, run, people["manager"], "hidden")
    page = open_as(alice, f"/slides/{run.slide_id}/")  # leads to the own readings
    page.wait_for_selector("h1:has-text('My readings')")
    page.click("button:has-text('Read')")
    page.wait_for_selector("[aria-label='Blinded reading']:has-text('candidates are hidden')")
    page.wait_for_selector("body[data-candidates='0']")
    page.wait_for_selector("[data-number='ai-count']:has-text('0')", state="attached")
    page.keyboard.press("a")
    box = page.locator("#viewer").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    saved(page)
    page.wait_for_selector("[data-number='reviewed-count']:has-text('1')")
    shoot(page, "readings-hidden")
    assert Figure.objects.get().slide == Reading.objects.get(reader=alice).copy
