"""The number by REST, against a hand count."""

from __future__ import annotations

import pytest

CANDIDATES = [(100.0, 50.0, 0.95), (200.5, 60.0, 0.5), (300.0, 70.0, 0.49), (10.0, 400.0, 0.21)]


@pytest.fixture
def slide(alice, make_slide, make_run):
    slide = make_slide(mpp=0.25, tissue_fraction=0.5)  # 560 x 420 px
    make_run(slide, CANDIDATES)
    return slide


@pytest.mark.parametrize(("score", "count"), [(0.5, 2), (0.2, 4), (0.95, 1), (0.951, 0), (0.49, 3)])
def test_the_count_holds_scores_at_or_above_the_threshold(client_of, alice, slide, score, count):
    body = client_of(alice).get(f"/api/v1/slides/{slide.pk}/mitosis-count/?min_score={score}").json()
    assert body["count"] == body["ai"]["count"] == count
    assert body["tissue_mm2"] == pytest.approx(0.5 * 560 * 420 * 0.25 * 0.25 / 1e6)
    assert body["count_per_mm2"] == pytest.approx(count / body["tissue_mm2"])
    assert body["reviewed"] is None and body["review"]["state"] == "not reviewed"
    assert body["use"] == "research use only"


def test_detections_are_paged_best_first_with_their_total(client_of, alice, slide):
    body = client_of(alice).get(f"/api/v1/slides/{slide.pk}/detections/?min_score=0.2&limit=2&offset=1").json()
    assert body["total"] == 4
    assert [(c["x"], c["y"], c["score"]) for c in body["results"]] == CANDIDATES[1:3]


def test_empty_parameters_count_as_not_given(client_of, alice, slide):
    body = client_of(alice).get(f"/api/v1/slides/{slide.pk}/detections/?bbox=&min_score=&run=&limit=").json()
    assert (body["total"], body["min_score"]) == (2, 0.5)


@pytest.mark.parametrize("body", ["[]", "3", '"x"', "null", "{", '{"model": "x"}', '{"model": []}'])
def test_bodies_of_any_shape_are_answered(client_of, alice, slide, body):
    answer = client_of(alice).post(f"/api/v1/slides/{slide.pk}/detections/", body, content_type="application/json")
    assert answer.status_code == 400


def test_a_box_holds_its_edges(client_of, alice, slide):
    body = client_of(alice).get(f"/api/v1/slides/{slide.pk}/detections/?min_score=0&bbox=100,50,200.5,60").json()
    assert body["total"] == 2


@pytest.mark.parametrize(
    "query",
    ["min_score=2", "min_score=x", "bbox=1,2,3", "bbox=5,0,1,1", "bbox=nan,0,1,1", "limit=0", "run=7", "offset=-1"],
)
def test_bad_questions_are_answered_with_what_was_wrong(client_of, alice, slide, query):
    answer = client_of(alice).get(f"/api/v1/slides/{slide.pk}/detections/?{query}")
    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("application/problem+json")
    assert query.split("=")[0] in answer.json()["errors"]


def test_the_newest_run_counts_and_older_ones_stay(client_of, alice, slide, make_run):
    first = slide.runs.get()
    make_run(slide, [(1, 1, 0.8)])
    client = client_of(alice)
    assert client.get(f"/api/v1/slides/{slide.pk}/mitosis-count/").json()["count"] == 1
    assert client.get(f"/api/v1/slides/{slide.pk}/mitosis-count/?run={first.pk}").json()["count"] == 2
    assert len(client.get(f"/api/v1/slides/{slide.pk}/runs/").json()) == 2


def test_before_the_first_detection_it_says_what_to_do(client_of, alice, make_slide):
    answer = client_of(alice).get(f"/api/v1/slides/{make_slide().pk}/mitosis-count/")
    assert answer.status_code == 409
    assert "POST" in answer.json()["detail"]


def test_the_worklist_shows_the_same_count(client_of, alice, slide):
    page = client_of(alice).get("/").content.decode()
    assert f'<a href="/slides/{slide.pk}/">2</a>' in page
