"""Slides that an earlier version prepared get their tissue measured, once."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from django.core.management import call_command

from detector.slide.masks import TISSUE_FILE
from tests.drawing import draw_tissue
from webapp.slides.storage import local_path, tissue_read


@pytest.fixture
def on_grey_glass(make_slide):
    picture = np.full((500, 640, 3), 229, np.uint8)
    picture[100:400, 120:520] = draw_tissue(400, 300)
    return make_slide(image=picture, mpp=8.0, tissue_fraction=1.0)


@pytest.mark.parametrize("damage", [b"", b"\x89PNG\r\n", b"not a picture at all"])
def test_tissue_that_is_damaged_counts_as_not_measured_and_is_mended(on_grey_glass, damage, client_of, alice):
    call_command("measure_tissue")
    kept = (on_grey_glass.folder / TISSUE_FILE).read_bytes()
    (on_grey_glass.folder / TISSUE_FILE).write_bytes(damage if damage else kept[: len(kept) // 2])
    assert tissue_read(on_grey_glass) is None
    for address in ("/", "/slides/", f"/cases/{on_grey_glass.case_id}/"):
        assert client_of(alice).get(address).status_code == 200
    call_command("measure_tissue")
    assert (on_grey_glass.folder / TISSUE_FILE).read_bytes() == kept
    assert {path.name for path in on_grey_glass.folder.iterdir() if "png" in path.name} == {TISSUE_FILE}


def test_a_disk_that_is_full_leaves_no_half_of_it(on_grey_glass, monkeypatch, capsys):
    def full(path, data):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    call_command("measure_tissue")
    assert "No space" in capsys.readouterr().err
    assert not [path for path in on_grey_glass.folder.iterdir() if TISSUE_FILE in path.name]


def test_a_bucket_that_does_not_answer_is_no_slide_without_tissue(on_grey_glass, monkeypatch):
    from botocore.exceptions import ClientError

    from webapp.slides import storage

    def answering(status):
        def refuse(*_, **__):
            raise ClientError({"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Get")

        monkeypatch.setattr(storage, "s3_bucket", lambda: SimpleNamespace(Object=refuse))

    answering(404)
    assert tissue_read(on_grey_glass) is None
    answering(503)
    with pytest.raises(ClientError):
        tissue_read(on_grey_glass)


def test_the_tissue_of_earlier_slides_is_measured_once(on_grey_glass, make_slide, capsys):
    lost = make_slide()
    local_path(lost).unlink()
    assert tissue_read(on_grey_glass) is None
    call_command("measure_tissue")
    said = capsys.readouterr()
    assert "1 slides measured" in said.out and lost.name in said.err
    mask = tissue_read(on_grey_glass)
    assert mask.shape == (500, 640) and mask[110:390, 130:510].all() and not mask[:90].any()
    on_grey_glass.refresh_from_db()
    assert on_grey_glass.tissue_fraction == pytest.approx(400 * 300 / (500 * 640), rel=0.02)
    call_command("measure_tissue")
    assert "0 slides measured" in capsys.readouterr().out
