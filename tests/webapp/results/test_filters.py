"""The list of slides: filtered by case, state, scanner, day and count, searched, paged; and quick when it is long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from webapp.annotations.models import Label, Region
from webapp.annotations.services import figure_judge, region_draw, region_remove
from webapp.slides.models import Case, Slide


@pytest.fixture
def slides(make_slide, make_run, study):
    """first: two mitoses, scanned yesterday on the A; second: none; third: not detected; fourth: refused, case P-2."""
    one, two = (Case.objects.create(study=study, identifier=f"P-{number}") for number in (1, 2))
    made = {
        "first": make_slide("first", case=one, scanner="A 1"),
        "second": make_slide("second", case=one, scanner="B 2"),
        "third": make_slide("third", case=two, scanner="B 2", mpp=None),
        "fourth": make_slide("fourth", case=two, state="refused"),
    }
    make_run(made["first"], [(1, 1, 0.9), (5, 5, 0.9), (9, 9, 0.9)])
    make_run(made["first"], [(1, 1, 0.9), (2, 2, 0.6), (3, 3, 0.3)])  # the newest counts, from score 0.5
    make_run(made["second"], [])
    Slide.objects.filter(name="first").update(uploaded_at=timezone.now() - timedelta(days=1))
    return made


TODAY, YESTERDAY = (f"{timezone.now() - timedelta(days=days):%Y-%m-%d}" for days in (0, 1))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "first second third fourth"),
        ("case=P-1", "first second"),
        ("state=needs_mpp", "third"),
        ("state=refused&case=P-1", ""),
        ("scanner=B 2", "second third"),
        (f"since={TODAY}", "second third fourth"),
        (f"until={YESTERDAY}", "first"),
        (f"since={YESTERDAY}&until={YESTERDAY}", "first"),
        ("min_count=0", "first second"),
        ("min_count=2", "first"),
        ("min_count=3", ""),
        ("max_count=1", "second"),
        ("search=fir", "first"),
        ("search=p-2&scanner=B 2", "third"),
    ],
)
def test_filters_find_what_fits_by_rest_and_on_the_page(slides, client_of, alice, query, names):
    found = client_of(alice).get(f"/api/v1/slides/?{query}").json()
    assert {slide["name"] for slide in found["results"]} == set(names.split())
    assert found["count"] == len(names.split())


def test_filters_and_groups_count_what_lies_on_the_evaluable_area(make_slide, make_run, client_of, alice):
    slide = make_slide("one", mpp=1.0)
    make_run(slide, [(100, 100, 0.9), (300, 300, 0.9)])
    client = client_of(alice)
    figure_judge(slide=slide, by=alice, x=100, y=100, label=Label.MITOTIC)

    def found(query):
        return client.get(f"/api/v1/slides/?{query}").json()["count"]

    def listed(group):
        return f"/slides/{slide.pk}/" in client.get(f"/?show={group}").content.decode()

    assert found("min_count=2") and listed("to-read")
    corners = [[200, 200], [400, 200], [400, 400], [200, 400]]
    region = region_draw(slide=slide, by=alice, kind=Region.Kind.EXCLUSION, polygon=corners)
    assert not found("min_count=2") and found("max_count=1") and listed("read")
    region_remove(region=region, by=alice)
    assert found("min_count=2") and listed("to-read")


def test_a_report_of_an_older_run_or_of_other_um_per_px_leaves_the_slide_to_read(make_slide, make_run, client_of, root):
    """Signed is what holds now."""
    slide = make_slide("one", mpp=2.0, mpp_source="entered")
    older, client = make_run(slide, [(10, 10, 0.9)]), client_of(root)

    def listed(group):
        return f"/slides/{slide.pk}/" in client.get(f"/?show={group}").content.decode()

    def sign(**asked):
        answer = client.post(f"/api/v1/slides/{slide.pk}/reports/", asked, format="json")
        assert answer.status_code == 201, answer.content

    sign()
    assert listed("read") and not listed("to-read")
    client.post(f"/api/v1/slides/{slide.pk}/mpp/", {"mpp": 1.0}, format="json")
    assert listed("to-read") and not listed("read")
    sign()
    assert listed("read")
    make_run(slide, [(10, 10, 0.9), (20, 20, 0.9)])
    assert listed("to-read")
    sign(run=str(older.pk), comment="of the older run")
    assert listed("to-read")
    sign()
    assert listed("read")


@pytest.mark.parametrize("query", ["state=lost", "since=yesterday", "min_count=-1", "max_count=many"])
def test_what_cannot_be_filtered_by_is_named(slides, client_of, alice, query):
    name = query.split("=")[0]
    answer = client_of(alice).get(f"/api/v1/slides/?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])
    page = client_of(alice).get(f"/slides/?{query}")
    assert page.status_code == 200
    assert f'<p class="error" role="alert">{query} is not' in page.content.decode()


def test_the_page_filters_too_and_offers_the_scanners_that_there_are(slides, client_of, alice, bob):
    page = client_of(alice).get("/slides/?scanner=A 1").content.decode()
    assert f'data-slide="{slides["first"].pk}"' in page
    assert f'data-slide="{slides["second"].pk}"' not in page
    assert "<option >B 2</option>" in page
    assert "B 2" not in client_of(bob).get("/slides/").content.decode()


ADDRESSES = ["/api/v1/slides/?limit=25", "/", "/slides/", "/api/v1/slides/?limit=25&min_count=0"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_long_list_takes_no_more_queries_than_a_short_one(address, slides, study, client_of, alice):
    client = client_of(alice)
    counts = []
    for more in (40, 300):
        case = Case.objects.create(study=study, identifier=f"P-{more}")
        Slide.objects.bulk_create(
            Slide(case=case, name=f"s {n}", state="ready", width=9, height=9) for n in range(more)
        )
        client.get(address)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("query", ["limit=-5", "limit=0", "limit=abc", "offset=-1", "offset=1e3", "limit=9999999999"])
def test_a_page_that_is_none_is_refused(client_of, alice, study, query):
    answer = client_of(alice).get(f"/api/v1/slides/?{query}")
    assert answer.status_code == 400 and query.split("=")[0] in answer.json()["detail"]
