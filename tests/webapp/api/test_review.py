"""Review by REST: compact candidates, verdicts with conflicts and replays, regions, two runs side by side."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from webapp.annotations.matching import Place, match_places

SQUARE = [[10, 10], [100, 10], [100, 100], [10, 100]]


@pytest.fixture
def slide(make_slide):
    return make_slide()


@pytest.fixture
def run(slide, make_run):
    return make_run(slide, [(100, 100, 0.9), (300.25, 200, 0.4), (40, 50, 0.7)])


def judge(client, slide, label, x, y, **more):
    body = {"label": label, "x": x, "y": y, **more}
    return client.post(f"/api/v1/slides/{slide.pk}/figures/", body, format="json")


def unpack(body: bytes) -> dict[str, list[float]]:
    n, first = np.frombuffer(body, "<f8", 2)
    n = int(n)
    return {
        "score": np.frombuffer(body, "<f8", n, 16).tolist(),
        "x": np.frombuffer(body, "<f4", n, 16 + 8 * n).tolist(),
        "y": np.frombuffer(body, "<f4", n, 16 + 12 * n).tolist(),
        "key": [int(first + k) for k in np.frombuffer(body, "<u4", n, 16 + 16 * n)],
    }


def test_all_candidates_come_in_columns_best_first_and_are_not_sent_twice(slide, run, client_of, alice):
    client = client_of(alice)
    answer = client.get(f"/api/v1/slides/{slide.pk}/candidates/?run={run.pk}")
    columns = unpack(answer.content)
    assert columns["score"] == [0.9, 0.7, 0.4]
    assert columns["x"] == [100, 40, 300.25]
    assert columns["y"] == [100, 50, 200]
    assert columns["key"] == list(run.candidates.order_by("-score").values_list("pk", flat=True))
    assert "max-age=86400" in answer["Cache-Control"]
    again = client.get(f"/api/v1/slides/{slide.pk}/candidates/", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_run_from_before_columns_were_kept_gives_the_same(slide, make_run, client_of, alice):
    tied = [(300, 200, 0.4), (100, 100, 0.9), (50, 100, 0.9), (40, 50, 0.9)]
    run = make_run(slide, tied)
    kept = client_of(alice).get(f"/api/v1/slides/{slide.pk}/candidates/").content
    assert unpack(kept)["x"] == [40, 50, 100, 300]
    run.packed.delete()
    assert client_of(alice).get(f"/api/v1/slides/{slide.pk}/candidates/").content == kept


def test_a_run_without_candidates_is_an_empty_payload(slide, make_run, client_of, alice):
    make_run(slide, [])
    assert unpack(client_of(alice).get(f"/api/v1/slides/{slide.pk}/candidates/").content)["score"] == []


def test_a_verdict_is_kept_with_its_candidate_and_its_history(slide, run, client_of, alice):
    client = client_of(alice)
    figure = judge(client, slide, "mitotic", 101, 100).json()
    assert figure["candidate"] == run.candidates.get(score=0.9).pk
    assert (figure["label"], figure["version"], figure["by"], figure["added"]) == ("mitotic", 1, "alice", False)
    assert judge(client, slide, "", 100, 100, expected=1).json()["label"] == ""
    history = client.get(f"/api/v1/slides/{slide.pk}/figures/{figure['id']}/").json()
    assert [(v["version"], v["label"], v["by"]) for v in history] == [(1, "mitotic", "alice"), (2, "", "alice")]
    assert client.get(f"/api/v1/slides/{slide.pk}/detections/").json()["total"] == 2  # the run is as it was


def test_a_conflict_says_who_what_and_what_holds_now(slide, run, client_of, alice, root):
    judge(client_of(root), slide, "non_mitotic", 100, 100)
    answer = judge(client_of(alice), slide, "mitotic", 100, 100)
    assert answer.status_code == 409
    body = answer.json()
    assert "root has judged this figure in the meantime" in body["detail"]
    assert (body["figure"]["label"], body["figure"]["version"]) == ("non_mitotic", 1)
    assert judge(client_of(alice), slide, "mitotic", 100, 100, expected=1).json()["version"] == 2


def test_a_verdict_sent_again_after_a_lost_answer_changes_nothing(slide, run, client_of, alice):
    client, sent = client_of(alice), str(uuid.uuid4())
    first = judge(client, slide, "unsure", 100, 100, verdict=sent).json()
    assert judge(client, slide, "unsure", 100, 100, verdict=sent).json() == first


def test_figures_are_listed_for_a_run_and_unchanged_ones_are_not_sent_again(slide, run, client_of, alice):
    client = client_of(alice)
    address = f"/api/v1/slides/{slide.pk}/figures/"
    empty = client.get(address)
    assert empty.json()["results"] == []
    judge(client, slide, "mitotic", 200, 300)
    answer = client.get(address, headers={"If-None-Match": empty["ETag"]})
    assert answer.json()["version"] == 1
    assert [(f["added"], f["candidate"], f["x"]) for f in answer.json()["results"]] == [(True, None, 200)]
    assert client.get(address, headers={"If-None-Match": answer["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    ("body", "status"),
    [({"label": "perhaps", "x": 1, "y": 1}, 400), ({"label": "mitotic", "x": 1}, 400),
     ({"label": "mitotic", "x": 1e9, "y": 1}, 400), ({"label": "mitotic", "x": 1, "y": 1, "verdict": "me"}, 400)],
)  # fmt: skip
def test_verdicts_that_cannot_be_are_refused_with_a_sentence(slide, run, client_of, alice, body, status):
    answer = client_of(alice).post(f"/api/v1/slides/{slide.pk}/figures/", body, format="json")
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_regions_are_drawn_edited_and_removed_without_losing_any(slide, client_of, alice):
    client, address = client_of(alice), f"/api/v1/slides/{slide.pk}/regions/"
    first = client.post(address, {"kind": "tumour", "polygon": SQUARE}, format="json").json()
    edit = {"kind": "tumour", "polygon": SQUARE[:3], "replaces": first["id"]}
    second = client.post(address, edit, format="json")
    assert second.status_code == 201
    assert client.post(address, edit, format="json").status_code == 409
    assert [r["id"] for r in client.get(address).json()] == [second.json()["id"]]
    assert client.delete(f"{address}{second.json()['id']}/").status_code == 204
    assert client.delete(f"{address}{second.json()['id']}/").status_code == 409
    assert client.get(address).json() == []
    assert slide.regions.count() == 2


def test_a_region_of_another_slide_cannot_be_replaced(slide, make_slide, client_of, alice):
    client = client_of(alice)
    other = client.post(f"/api/v1/slides/{make_slide().pk}/regions/", {"kind": "tumour", "polygon": SQUARE}, "json")
    body = {"kind": "tumour", "polygon": SQUARE, "replaces": other.json()["id"]}
    assert client.post(f"/api/v1/slides/{slide.pk}/regions/", body, format="json").status_code == 400


def test_two_runs_are_compared_within_the_matching_radius(slide, run, make_run, client_of, alice):
    other = make_run(slide, [(110, 100, 0.6), (41, 50, 0.55), (400, 400, 0.5), (300, 200, 0.45)])
    query = f"run={run.pk}&other={other.pk}&min_score=0.5"
    body = client_of(alice).get(f"/api/v1/slides/{slide.pk}/compare/?{query}").json()
    assert body == {"both": 2, "only_run": [], "only_other": [{"x": 400, "y": 400, "score": 0.5}]}


def test_places_are_matched_one_to_one_by_rank_then_nearness():
    places = [Place(0, 0, 0.9), Place(10, 0, 0.8), Place(100, 0, 0.7)]
    others = [Place(6, 0, 0.5), Place(-20, 0, 0.9), Place(160, 0, 0.9)]
    assert match_places(places, others, (30, 30)) == {0: 0, 1: 1}


@pytest.mark.parametrize("path", ["candidates/", "figures/", "regions/", "compare/"])
def test_what_lies_on_a_slide_of_another_study_is_not_found(slide, run, client_of, bob, path):
    assert client_of(bob).get(f"/api/v1/slides/{slide.pk}/{path}").status_code == 404
