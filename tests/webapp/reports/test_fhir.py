"""A signed report as FHIR: valid, and with the numbers that were signed."""

from __future__ import annotations

import json

import pytest
from fhir.resources.R4B.diagnosticreport import DiagnosticReport

from tests.webapp.reports.conftest import CANDIDATES
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.slides.services import slide_delete

AREA = 1500 * 1200 * 4 / 1e6


@pytest.fixture
def signed(client_of, alice, slide):
    """Signs as the query says; the report and its FHIR resource, which is valid."""

    def sign(**query):
        client = client_of(alice)
        answer = client.post(f"/api/v1/slides/{slide.pk}/reports/", query, format="json")
        assert answer.status_code == 201, answer.content
        return answer.json(), fetched(client, answer.json())

    return sign


def fetched(client, report):
    answer = client.get(report["fhir"])
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/fhir+json")
    DiagnosticReport.model_validate_json(answer.content)
    made = json.loads(answer.content)
    inside = {one["id"] for one in made["contained"]}
    assert {one["reference"][1:] for one in (*made["result"], *made["specimen"])} <= inside
    return made


def numbers(made):
    observations = (one for one in made["contained"] if one["resourceType"] == "Observation")
    return {
        one["id"]: one["valueQuantity"]["value"] if "valueQuantity" in one else one["valueInteger"]
        for one in observations
    }


def test_it_has_the_numbers_that_were_signed(signed, slide):
    report, made = signed(rule="nottingham-0.55", comment="Core biopsy.")
    count = report["facts"]["count"]
    assert numbers(made) == {
        "count-1": 9, "density-1": pytest.approx(9 / AREA), "area-1": pytest.approx(AREA, rel=0.01),
        "hotspot-count-1": count["hotspot"]["count"], "hotspot-density-1": count["hotspot"]["count_per_mm2"],
        "hotspot-area-1": count["hotspot"]["evaluable_mm2"], "score-1": count["score"]["value"],
    }  # fmt: skip
    score = next(one for one in made["contained"] if one["id"] == "score-1")
    assert score["code"]["coding"][0]["code"] == "85300-2"
    assert made["subject"]["identifier"]["value"] == slide.case.identifier
    assert (made["conclusion"], made["performer"][0]["display"]) == ("Core biopsy.", "alice")
    detector = next(one for one in made["contained"] if one["resourceType"] == "Device")
    assert detector["identifier"][0]["value"] == count["model"]["sha256"]


def test_it_is_final_when_the_hotspot_is_reviewed(client_of, alice, signed, slide):
    first, made = signed()
    assert made["status"] == "preliminary"
    assert all("detector alone" in str(one) for one in made["contained"] if one["resourceType"] == "Observation")
    for x, y, _ in CANDIDATES:
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=x, y=y)
    _, made = signed()
    assert made["status"] == "final" and "detector alone" not in json.dumps(made)
    assert fetched(client_of(alice), first)["conclusion"] == "Replaced by version 2."


def test_all_slides_of_a_case_are_in_it_where_asked_for(client_of, alice, signed, slide, make_slide, make_run):
    other = make_slide(case=slide.case, mpp=2.0)
    make_run(other, [(50, 50, 0.9)])
    _, made = signed(whole_case=True)
    assert len(made["specimen"]) == 2
    assert numbers(made)["count-2"] == 1


def test_who_may_not_see_the_slide_gets_none_and_a_deleted_one_has_none(client_of, alice, bob, signed, slide):
    report, _ = signed()
    assert client_of(bob).get(report["fhir"]).status_code == 404
    slide_delete(slide=slide)
    assert client_of(alice).get(report["fhir"]).status_code == 404
