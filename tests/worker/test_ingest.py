"""What arrives becomes a slide or is refused with a reason; nothing takes the worker down."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import worker.run_ingest
from detector.slide.pyramid import write_pyramid
from tests.drawing import draw_tissue
from tests.resilience.fuzz_slides import mutations, prepared
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.jobs.states import State
from webapp.slides.models import Slide
from webapp.slides.services import slide_create, slide_delete
from webapp.slides.storage import local_path
from worker.tasks import ingest


@pytest.fixture
def arrive(study, alice, tmp_path):
    """Upload a file's bytes and prepare it; returns the slide."""

    def go(data: bytes, name: str, **fields) -> Slide:
        file = tmp_path / "arrived"
        file.write_bytes(data)
        slide = slide_create(study=study, case_identifier="", name=name, file=file, user=alice, **fields)
        job = job_create(kind=Job.Kind.INGEST, slide=slide, by=alice)
        ingest(shard_pk=job.shards.get().pk)
        job.refresh_from_db()
        assert job.state == State.SUCCEEDED, job.traceback
        slide.refresh_from_db()
        return slide

    return go


def encoded(image: np.ndarray, kind: str, **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()


def pyramid(image: np.ndarray, folder: Path, mpp=(0.25, 0.25)) -> bytes:
    height, width = image.shape[:2]
    write_pyramid(folder / "p.tif", lambda a, b: image[a:b], (width, height), mpp, compression="jpeg")
    return (folder / "p.tif").read_bytes()


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
def test_a_frame_becomes_a_pyramid_with_the_same_pixels(arrive, picture, kind, model):
    data = encoded(picture, kind)
    slide = arrive(data, f"frame.{kind.lower()}", mpp=0.2456)
    assert (slide.state, slide.mpp, slide.mpp_source) == ("ready", (0.2456, 0.2456), "entered")
    assert slide.bytes == len(data)
    from detector.slide import open_slide

    with open_slide(local_path(slide)) as file:
        assert (file.read(0, 0, 0, *file.size) == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()
    assert Image.open(slide.thumbnail).size == (512, 384)
    assert slide.tissue_mm2 == pytest.approx(560 * 420 * 0.2456**2 / 1e6, rel=0.02)


def test_the_detection_that_was_wanted_is_queued(arrive, picture, model):
    slide = arrive(encoded(picture, "PNG"), "frame.png", mpp=0.25)
    assert [job.kind for job in slide.jobs.all()] == [Job.Kind.DETECT, Job.Kind.INGEST]
    assert not slide.wants_detection


def test_without_um_per_pixel_it_can_be_looked_at_and_detection_waits(arrive, picture, model):
    slide = arrive(encoded(picture, "PNG", dpi=(72, 72)), "frame.png")
    assert (slide.state, slide.wants_detection) == ("needs_mpp", True)
    assert slide.jobs.count() == 1


def test_the_scale_of_the_file_wins_over_the_one_entered(arrive, picture, tmp_path, model):
    slide = arrive(pyramid(picture, tmp_path, (0.5, 0.5)), "s.tif", mpp=0.25)
    assert (slide.mpp, slide.mpp_source) == ((0.5, 0.5), "file")
    assert "0.25 entered is not used" in slide.remark


def test_a_jpeg_2000_aperio_slide_without_scale_is_viewed_and_detection_asks_for_um_per_pixel(
    arrive, tmp_path, model, client_of, alice
):
    image = draw_tissue(700, 600)
    with tifffile.TiffWriter(tmp_path / "j2k.svs") as tiff:
        tiff.write(
            image, tile=(256, 256), photometric="rgb", compression="aperio_jp2000_rgb", metadata=None,
            description="Aperio Image Library v12\n700x600|AppMag = 40",
        )  # fmt: skip
    slide = arrive((tmp_path / "j2k.svs").read_bytes(), "j2k.svs")
    assert (slide.state, slide.format, slide.mpp) == ("needs_mpp", "aperio", None)
    client = client_of(alice)
    tile = client.get(f"/api/v1/slides/{slide.pk}/tiles_files/10/0_0.jpeg")
    shown = np.asarray(Image.open(io.BytesIO(tile.content)))
    assert abs(shown[:500, :500].astype(int) - image[:500, :500]).mean() < 6
    refused = client.post(f"/api/v1/slides/{slide.pk}/detections/", {}, format="json")
    assert refused.status_code == 409
    assert "um/px" in refused.json()["detail"]


def test_the_same_file_again_is_said_so(arrive, picture, model):
    first = arrive(encoded(picture, "PNG"), "frame.png", mpp=0.25)
    again = arrive(encoded(picture, "PNG"), "copy.png", mpp=0.25)
    assert f"here already, uploaded on {first.uploaded_at:%Y-%m-%d}" in again.remark and first.name not in again.remark
    assert "already" not in first.remark
    assert "already" not in arrive(encoded(picture[::-1], "PNG"), "other.png", mpp=0.25).remark


def test_a_slide_in_a_zip_is_found_and_the_zip_is_not_kept(
    arrive, picture, tmp_path, model, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        slide = arrive(zipped(**{"a/readme.txt": b"hello", "a/slide.tif": pyramid(picture, tmp_path)}), "set.zip")
    assert (slide.state, slide.path) == ("ready", "unpacked/a/slide.tif")
    assert not (slide.folder / "original" / "slide.zip").exists()


def hostile(picture: np.ndarray, folder: Path) -> dict[str, tuple[bytes, str]]:
    """name -> (bytes, words that the reason holds)."""
    whole = pyramid(picture, folder)
    link = io.BytesIO()
    with zipfile.ZipFile(link, "w") as archive:
        info = zipfile.ZipInfo("slide.tif")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    enormous = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + enormous
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    png += struct.pack(">I", 4) + b"IDAT" + b"\0" * 8
    loop = bytearray(struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", 1))
    loop += struct.pack("<HHII", 256, 4, 1, 10) + struct.pack("<I", 8)  # its next directory is itself
    glass = np.full((500, 800, 3), 244, dtype=np.uint8)
    return {
        "text.svs": (b"this is a text, not a slide\n" * 40, "neither a slide"),
        "alone.mrxs": (b"\0\1\2" * 100, "folder of the same name"),
        "cut.tif": (whole[: len(whole) // 2], "cut off"),
        "cut.svs": (encoded(picture, "PNG")[:5000], "cut off"),
        "huge.png": (png, "pixels"),
        "loop.tif": (bytes(loop), ""),
        "bomb.zip": (zipped(**{"slide.tif": bytes(60 << 20)}), "grow"),
        "escape.zip": (zipped(**{"../../evil.tif": b"x"}), "leads out"),
        "absolute.zip": (zipped(**{"/etc/evil.tif": b"x"}), "leads out"),
        "link.zip": (link.getvalue(), "symbolic link"),
        "two.zip": (zipped(**{"a.tif": whole, "b.tif": whole}), "2 slides"),
        "none.zip": (zipped(**{"a.txt": b"x"}), "no slide"),
        "broken.zip": (zipped(**{"slide.tif": whole})[:-30], ""),
        "overview.png": (encoded(glass, "PNG"), "glass"),
    }


NAMES = [
    "text.svs", "alone.mrxs", "cut.tif", "cut.svs", "huge.png", "loop.tif", "bomb.zip", "escape.zip", "absolute.zip",
    "link.zip", "two.zip", "none.zip", "broken.zip", "overview.png",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_slide_is_refused_with_a_sentence_and_leaves_nothing(
    name, arrive, picture, tmp_path, settings, django_capture_on_commit_callbacks
):
    data, words = hostile(picture, tmp_path)[name]
    with django_capture_on_commit_callbacks(execute=True):
        slide = arrive(data, name)
    assert slide.state == "refused"
    assert words in slide.remark
    assert slide.remark[0].isupper()
    assert slide.remark.endswith(".")
    assert str(tmp_path) not in slide.remark
    assert not slide.folder.exists()
    assert not (tmp_path / "evil.tif").exists()


def test_changed_headers_end_as_facts_or_as_a_reason_and_leave_nothing(picture, tmp_path):
    """Thirty here, a thousand in `make fuzz-slides`; each in a confined process of its own."""
    (tmp_path / "whole.tif").write_bytes(pyramid(picture, tmp_path))
    files = mutations(tmp_path / "whole.tif", 30)
    ends = Counter(prepared(data, ".tif", tmp_path / str(number)) for number, data in enumerate(files))
    assert ends["an error of ours"] == 0, ends
    assert ends["refused"] > 5, ends
    assert ends["opened"] > 2, ends
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_the_real_slides_open_and_the_real_bad_ones_are_refused(arrive, real_data, model):
    slides = real_data / "slides"
    svs = arrive((slides / "CMU-1-Small-Region.svs").read_bytes(), "CMU-1-Small-Region.svs")
    assert (svs.state, svs.format, svs.mpp, svs.width, svs.height) == ("ready", "aperio", (0.499, 0.499), 2220, 2967)
    assert arrive((slides / "generic_no_mpp_1024.tif").read_bytes(), "x.tif").state == "needs_mpp"
    fixtures = slides / "fixtures"
    dicom = zipped(**{name: (fixtures / name).read_bytes() for name in ("boxes_0.dcm", "boxes_1.dcm")})
    assert arrive(dicom, "dicom.zip").state == "ready"
    for path in sorted((slides / "refused").iterdir()):
        slide = arrive(path.read_bytes(), path.name)
        assert (slide.state, bool(slide.remark)) == ("refused", True), path.name


def test_a_slide_deleted_while_it_is_prepared_leaves_nothing(
    study, alice, picture, tmp_path, monkeypatch, django_capture_on_commit_callbacks
):
    (tmp_path / "arrived").write_bytes(encoded(picture, "PNG"))
    slide = slide_create(study=study, case_identifier="", name="f.png", file=tmp_path / "arrived", user=alice)
    shard = job_create(kind=Job.Kind.INGEST, slide=slide, by=alice).shards.get()
    folder, prepare = slide.folder, worker.run_ingest._prepare

    def deleted_meanwhile(shard):
        with django_capture_on_commit_callbacks(execute=True):
            slide_delete(slide=Slide.objects.get(pk=slide.pk))
        (folder / "original").mkdir(parents=True)
        (folder / "original" / "slide.png").write_bytes(encoded(picture, "PNG"))
        return prepare(shard)

    monkeypatch.setattr(worker.run_ingest, "_prepare", deleted_meanwhile)
    ingest(shard_pk=shard.pk)
    assert not Job.objects.exists()
    assert not folder.exists()


def test_preparing_again_after_a_death_gives_the_same(arrive, picture, model, study, alice, tmp_path):
    data = zipped(**{"slide.tif": pyramid(picture, tmp_path)})
    file = tmp_path / "arrived"
    file.write_bytes(data)
    slide = slide_create(study=study, case_identifier="", name="s.zip", file=file, user=alice)
    from detector.slide.prepare import prepare

    before = local_path(slide)
    prepare(before, slide.folder)  # a first worker got this far and died
    assert before.exists()
    job = job_create(kind=Job.Kind.INGEST, slide=slide, by=alice)
    ingest(shard_pk=job.shards.get().pk)
    slide.refresh_from_db()
    assert slide.state == "ready"
    assert [path.name for path in (slide.folder / "unpacked").iterdir()] == ["slide.tif"]
