"""Roles in a study, where the matrix of `tests/security` does not reach: what changes while something is under way."""

from __future__ import annotations

import pytest

from webapp.core.errors import NotAllowed
from webapp.registry.models import TRAINED_HERE, ModelVersion
from webapp.slides.models import Membership, Slide
from webapp.slides.roles import Right, demand, may, studies_of
from webapp.slides.services import slide_set_mpp
from webapp.slides.studies import member_put, member_remove
from webapp.slides.uploads import upload_append, upload_create, upload_finish

LADDER = {
    "viewer": set(),
    "uploader": {Right.UPLOAD},
    "reader": {Right.UPLOAD, Right.JUDGE},
    "manager": {Right.UPLOAD, Right.JUDGE, Right.MANAGE},
    "a role of another version": set(),
}


@pytest.mark.parametrize("role", LADDER)
def test_each_role_gives_what_the_one_before_gives_and_more(role, alice, study):
    Membership.objects.filter(user=alice).update(role=role[:10])
    assert {right for right in Right if may(right, user=alice, study=study.pk)} == LADDER[role]
    assert {right for right in Right if studies_of(alice, right)} == LADDER[role]
    alice.is_active = False
    assert not any(may(right, user=alice, study=study.pk) for right in Right)


def test_who_may_not_is_told_who_may(alice, study):
    with pytest.raises(NotAllowed, match="In the study Breast only managers may .*; ask a manager of it"):
        demand(Right.MANAGE, user=alice, study=study.pk)


def test_an_upload_of_who_was_taken_out_of_the_study_becomes_no_slide(alice, bob, root, study, client_of):
    import io

    upload = upload_create(user=alice, study=study, name="a.tif", size=3)
    upload_append(upload=upload, offset=0, stream=io.BytesIO(b"abc"))
    member_put(study=study, user=bob, role="manager", by=root)
    member_remove(study=study, user=alice, by=root)
    with pytest.raises(NotAllowed):
        upload_finish(upload=upload)
    assert client_of(alice).get(f"/api/v1/uploads/{upload.pk}/").status_code == 403
    assert not Slide.objects.exists() and upload.file.exists()  # the bytes wait, should it have been a mistake
    member_put(study=study, user=alice, role="uploader", by=root)
    assert upload_finish(upload=upload).uploaded_by == alice


def test_who_uploaded_a_slide_and_has_left_enters_no_um_per_px(alice, bob, root, study, make_slide):
    slide = make_slide(mpp=None, uploaded_by=alice)
    member_put(study=study, user=bob, role="manager", by=root)
    member_put(study=study, user=alice, role="viewer", by=root)
    with pytest.raises(NotAllowed):
        slide_set_mpp(slide=slide, mpp=0.25, user=alice)


def test_who_may_judge_no_more_is_reader_of_nothing(alice, bob, root, study, make_slide, client_of):
    slide = make_slide()
    Membership.objects.filter(user=alice).update(role="viewer")
    answer = client_of(root).post(f"/api/v1/slides/{slide.pk}/reader/", {"reader": "alice"}, format="json")
    assert (answer.status_code, "not in the study" in answer.json()["detail"]) == (400, True)


def test_a_version_trained_here_names_cases_to_administrators_alone(alice, root, client_of):
    card = {"data": [{"source": "here", "cases": 2, "case_names": ["P-1", "P-2"]}], "cases_learnt": ["P-1", "P-2"]}
    card |= {"f1_by_case": {"P-1": 0.5}, "judgement": {"cases": ["P-1"], "why": "P-1 was learnt", "verdict": "better"}}
    here = ModelVersion.objects.create(name="h", path=f"{TRAINED_HERE}x/w.safetensors", sha256="1" * 64, card=card)
    public = ModelVersion.objects.create(name="p", path="w.safetensors", sha256="2" * 64, card=card)
    assert client_of(root).get(f"/api/v1/models/{here.pk}/").json()["card"] == card
    shown = client_of(alice).get(f"/api/v1/models/{here.pk}/").json()["card"]
    assert shown["data"] == [{"source": "here", "cases": 2, "case_names": 2}]
    assert shown["judgement"] == {"cases": 1, "verdict": "better"}
    assert client_of(alice).get(f"/api/v1/models/{public.pk}/").json()["card"]["cases_learnt"] == ["P-1", "P-2"]
    for address in ("/models/", f"/models/{here.pk}/", f"/api/v1/models/{here.pk}/card/"):
        assert ("P-1" in client_of(alice).get(address).content.decode()) is False
