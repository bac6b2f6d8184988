"""What may name a patient - label, macro, file name - is for those with a permission, and each look is recorded."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from django.contrib.auth.models import Permission
from PIL import Image

from tests.recorded import recorded
from webapp.audit.models import Action
from webapp.slides.models import Membership
from webapp.slides.services import slide_create
from webapp.slides.storage import local_path

LABEL = np.full((60, 90, 3), (20, 200, 40), dtype=np.uint8)


@pytest.fixture
def labelled(make_slide, picture):
    """An Aperio slide with a label."""
    slide = make_slide()
    with tifffile.TiffWriter(local_path(slide)) as tiff:
        aperio = "Aperio Image Library v12\n"
        tiff.write(
            picture, tile=(256, 256), photometric="rgb", description=f"{aperio}560x420|MPP = 0.25", metadata=None
        )
        for image, words, kind in ((picture[::4, ::4], "140x105", 0), (LABEL, "label 90x60", 1)):
            tiff.write(image, photometric="rgb", description=aperio + words, subfiletype=kind, metadata=None)
    return slide


@pytest.fixture
def carol(django_user_model, study):
    """A reader of the study who may see identities."""
    user = django_user_model.objects.create_user("carol", password="pw")
    Membership.objects.create(study=study, user=user)
    user.user_permissions.add(Permission.objects.get(codename="view_identity"))
    return user


def test_a_label_is_seen_with_the_permission_and_each_look_is_recorded(labelled, client_of, carol):
    answer = client_of(carol).get(f"/api/v1/slides/{labelled.pk}/label.jpeg")
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert shown.shape == LABEL.shape
    assert abs(shown.astype(int) - LABEL).max() < 12
    client_of(carol).get(f"/api/v1/slides/{labelled.pk}/label.jpeg")
    assert recorded(Action.IDENTITY_SEEN, labelled) == [("carol", None, {"what": "label image"})] * 2
    assert client_of(carol).get(f"/api/v1/slides/{labelled.pk}/macro.jpeg").status_code == 404


def test_nobody_else_sees_it(labelled, client_of, alice, bob, charlie):
    address = f"/api/v1/slides/{labelled.pk}/label.jpeg"
    refused = client_of(alice).get(address)
    assert (refused.status_code, "permission" in refused.json()["detail"]) == (403, True)
    assert client_of(bob).get(address).status_code == 404
    assert client_of(charlie).get(address).status_code == 404
    assert client_of(None).get(address).status_code == 401
    assert not recorded(Action.IDENTITY_SEEN)


def test_the_permission_opens_no_slide_of_another_study(labelled, client_of, bob):
    bob.user_permissions.add(Permission.objects.get(codename="view_identity"))
    assert client_of(bob).get(f"/api/v1/slides/{labelled.pk}/label.jpeg").status_code == 404


@pytest.fixture
def uploaded(study, alice, tmp_path):
    """A slide that Alice uploaded under a patient's name."""
    (tmp_path / "f").write_bytes(b"x")
    return slide_create(study=study, case_identifier="P-17", name="Doe_Jane.svs", file=tmp_path / "f", user=alice)


def test_a_file_name_is_for_who_uploaded_it_and_who_may_see_identities(
    uploaded, study, client_of, alice, carol, django_user_model
):
    dave = django_user_model.objects.create_user("dave", password="pw")
    Membership.objects.create(study=study, user=dave)
    for user, name in ((alice, "Doe_Jane.svs"), (carol, "Doe_Jane.svs"), (dave, "P-17 slide 1")):
        client = client_of(user)
        assert client.get(f"/api/v1/slides/{uploaded.pk}/").json()["name"] == name
        for page in ("/", f"/slides/{uploaded.pk}/", "/jobs/"):
            assert ("Doe_Jane" in client.get(page).content.decode()) == (name != "P-17 slide 1" and page != "/jobs/")
        found = client.get("/api/v1/slides/?search=Jane").json()["count"]
        assert found == (0 if user == dave else 1)
    assert "Jane" not in str(uploaded)


def test_file_names_are_in_no_path_and_no_log(uploaded, caplog, client_of, alice):
    caplog.set_level("DEBUG")
    client = client_of(alice)
    for address in (
        f"/slides/{uploaded.pk}/",
        f"/api/v1/slides/{uploaded.pk}/tiles.dzi",
        f"/api/v1/slides/{uploaded.pk}/",
    ):
        client.get(address)
    assert "Jane" not in str(local_path(uploaded))
    assert "Jane" not in caplog.text
