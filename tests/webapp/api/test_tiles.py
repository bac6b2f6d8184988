"""Deep Zoom tiles, thumbnails, crops: the right pixels, kept by the browser, 404 for every bad address."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from webapp.slides.storage import local_path


@pytest.fixture
def slide(make_slide):
    return make_slide()  # 560 x 420


def picture_of(answer):
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/jpeg"
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


def test_the_highest_level_is_the_slide_uncropped(slide, client_of, alice, picture):
    client = client_of(alice)
    dzi = ET.fromstring(client.get(f"/api/v1/slides/{slide.pk}/tiles.dzi").content)
    size = next(iter(dzi))
    assert (size.attrib["Width"], size.attrib["Height"]) == ("560", "420")
    tile = picture_of(client.get(f"/api/v1/slides/{slide.pk}/tiles_files/10/0_0.jpeg"))
    edge = int(dzi.attrib["TileSize"]) + int(dzi.attrib["Overlap"])
    assert tile.shape == (420, edge, 3)
    assert abs(tile - picture[:420, :edge]).mean() < 6


def test_a_crop_at_the_rim_is_hatched_where_there_is_no_slide(make_slide, client_of, alice):
    slide = make_slide(mpp=0.25, image=np.full((300, 400, 3), (200, 60, 120), np.uint8))
    crop = picture_of(client_of(alice).get(f"/api/v1/slides/{slide.pk}/crop.jpeg?x=400&y=10&size=64")).astype(int)
    colourless = np.ptp(crop, axis=2) < 40
    assert colourless[:, 36:].mean() > 0.97 and colourless[:18].mean() > 0.97  # right of the slide, and above it
    assert colourless[26:, :28].mean() < 0.01
    assert np.ptp(crop[:18].mean(axis=2)) > 40  # lines, not a plain ground


@pytest.mark.parametrize(
    "address", ["10/5_0", "10/0_5", "11/0_0", "99/0_0", "10/-1_0", "x/0_0", "10/0_0_0", "10/99999999999_0"]
)
def test_bad_addresses_are_not_found(address, slide, client_of, alice):
    assert client_of(alice).get(f"/api/v1/slides/{slide.pk}/tiles_files/{address}.jpeg").status_code == 404


def test_tiles_are_kept_by_the_browser_alone(slide, client_of, alice):
    client = client_of(alice)
    address = f"/api/v1/slides/{slide.pk}/tiles_files/9/0_0.jpeg"
    first = client.get(address)
    assert "private" in first["Cache-Control"]
    assert "immutable" in first["Cache-Control"]
    assert client.get(address, headers={"If-None-Match": first["ETag"]}).status_code == 304
    assert client.get(f"/api/v1/slides/{slide.pk}/tiles.dzi")["Cache-Control"] == "private, no-cache"


def test_nobody_sees_a_tile_who_may_no_longer_see_the_slide(slide, client_of, alice, bob, study):
    client = client_of(alice)
    address = f"/api/v1/slides/{slide.pk}/tiles_files/9/0_0.jpeg"
    tag = client.get(address)["ETag"]
    assert client_of(bob).get(address, headers={"If-None-Match": tag}).status_code == 404
    assert client_of(None).get(address, headers={"If-None-Match": tag}).status_code == 401
    study.memberships.all().delete()
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 404


def test_a_crop_is_centred_at_a_quarter_of_a_micrometre(make_slide, client_of, alice):
    image = np.full((400, 600, 3), 220, dtype=np.uint8)
    image[190:211, 290:311] = 20
    for mpp, half in ((0.25, 10.5), (0.5, 21.0)):
        slide = make_slide(mpp=mpp, image=image)
        crop = picture_of(client_of(alice).get(f"/api/v1/slides/{slide.pk}/crop.jpeg?x=300.5&y=200.5&size=64"))
        dark = np.argwhere(crop.mean(axis=2) < 100)
        assert abs(dark.mean(axis=0) + 0.5 - 32).max() <= 1.1
        assert len(dark) == pytest.approx((2 * half) ** 2, rel=0.25)


@pytest.mark.parametrize("query", ["", "x=1", "x=-5&y=5", "x=5&y=99999", "x=nan&y=5", "x=5&y=5&size=9999", "x=a&y=b"])
def test_crops_of_nowhere_are_not_found(query, slide, client_of, alice):
    assert client_of(alice).get(f"/api/v1/slides/{slide.pk}/crop.jpeg?{query}").status_code == 404


def test_a_slide_whose_file_is_gone_says_so(slide, client_of, alice):
    local_path(slide).unlink()
    for address in ("tiles.dzi", "crop.jpeg?x=5&y=5"):
        answer = client_of(alice).get(f"/api/v1/slides/{slide.pk}/{address}")
        assert (answer.status_code, "put the file back" in answer.content.decode()) == (503, True)


def test_a_refused_slide_has_no_tiles(make_slide, client_of, alice):
    slide = make_slide(state="refused")
    assert client_of(alice).get(f"/api/v1/slides/{slide.pk}/tiles.dzi").status_code == 404
