"""Retraining by REST, for administrators alone."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.webapp.retraining.conftest import zip_of
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.retraining.provenance import removed_now
from webapp.slides.models import Case


def test_the_loop_by_rest(client_of, root, labelled_set, mined, candidate, study, make_slide):
    client = client_of(root)
    make_slide()
    api = "/api/v1"
    sent = {"name": "up", "file": SimpleUploadedFile("s.zip", zip_of(a="1"))}
    answer = client.post(f"{api}/labelled-sets/", sent, format="multipart")
    assert answer.status_code == 202, answer.content
    assert client.post(f"{api}/locked-cases/", {"name": "A01"}, format="json").status_code == 201
    estimate = client.post(f"{api}/mining-runs/estimate/", {"study": study.pk}, format="json").json()
    assert estimate["slides"] == 2
    assert client.post(f"{api}/mining-runs/", {"study": study.pk, "most": 1}, format="json").status_code == 202
    address = f"{api}/mining-runs/{mined.pk}/"
    drawn = client.get(f"{address}drawn/").json()["results"]
    said = client.post(f"{address}judge/", {"sample": drawn[0]["id"], "label": "mitotic"}, format="json").json()
    assert (said["judged"], said["mitotic"]) == (1, 1)
    assert client.post(f"{address}reject/", {"below": 0.9}, format="json").json() == {"changed": 50}
    assert client.post(f"{address}restore/").json() == {"changed": 50}
    wanted = {"name": "t", "sets": [str(labelled_set.pk)], "mining": [str(mined.pk)], "plan": {"iterations": 9}}
    answer = client.post(f"{api}/trainings/", wanted, format="json")
    assert answer.status_code == 202, answer.content
    training = client.get(f"{api}/trainings/{answer.json()['id']}/").json()
    assert training["inputs"]["mined"] == 100
    assert training["inputs"]["test"] == ["A01"]
    refused = client.post(f"{api}/trainings/", {**wanted, "cases": ["A01"]}, format="json")
    assert (refused.status_code, "A01" in refused.json()["detail"]) == (409, True)
    locked = make_slide(case=Case.objects.create(study=study, identifier="A01"))
    refused = client.post(f"{api}/mining-runs/", {"slides": [str(locked.pk)]}, format="json")
    assert (refused.status_code, "A01" in refused.json()["detail"]) == (409, True)
    matching = {"matching": {"search": "nothing is called so"}}
    assert client.post(f"{api}/mining-runs/estimate/", matching, format="json").json()["slides"] == 0
    again = client.post(f"{api}/trainings/{training['id']}/again/", {"name": "again"}, format="json")
    assert again.json()["inputs"]["mined"] == 100
    free = make_slide("free.tif")
    answer = client.post(f"{api}/mitosis-free-slides/", {"slide": str(free.pk)}, format="json")
    assert answer.status_code == 201
    assert client.delete(f"{api}/mitosis-free-slides/{answer.json()['id']}/").status_code == 204
    assert client.post(f"{api}/models/{candidate.pk}/judge/").status_code == 202
    answer = client.post(f"{api}/models/{candidate.pk}/promote/", {"reason": "trial"}, format="json")
    assert answer.json()["state"] == "active"
    assert client.post(f"{api}/models/roll-back/").json()["name"] == "m"
    assert client.get(f"{api}/models/{candidate.pk}/card/").json()["promotions"][0]["reason"] == "trial"
    slide = mined.slides.get().slide
    rerun = client.post(f"{api}/models/{candidate.pk}/rerun/", {"slides": [str(slide.pk)]}, format="json").json()
    assert len(rerun["jobs"]) == 1
    affected = client.get(f"{api}/removals/affected/?slide={slide.pk}").json()
    assert (affected["mined_samples"], affected["trainings"]) == (100, ["again", "t"])
    body = {"slide": str(slide.pk), "reason": "consent withdrawn"}
    removed = client.post(f"{api}/removals/", body, format="json")
    assert (removed.status_code, removed.json()["what"]) == (201, f"the slide {slide}")
    address = f"{api}/removals/{removed.json()['id']}/"
    assert removed_now().slides == {slide.pk}
    assert client.delete(address).status_code == 204
    assert removed_now().slides == set()
    assert client.delete(address).status_code == 409, "taken back before"
    (listed,) = client.get(f"{api}/removals/").json()["results"]
    assert (listed["reason"], listed["by"], listed["ended_at"] is not None) == ("consent withdrawn", "root", True)
    figure_judge(slide=slide, by=root, label=Label.MITOTIC, x=50, y=50)
    made_here = client.get(f"{api}/labelled-sets/made-here/").json()
    assert made_here == {"mitotic": 1, "non_mitotic": 0, "slides": 1, "people": 1}


ADDRESSES = [
    "calibrations/",
    "trainings/",
    "mining-runs/",
    "labelled-sets/",
    "locked-cases/",
    "removals/",
    "removals/affected/",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_administrators_reach_it(address, client_of, alice, charlie, db):
    for user, code in ((alice, 403), (charlie, 403), (None, 401)):
        assert client_of(user).get(f"/api/v1/{address}").status_code == code
