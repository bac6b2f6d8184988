"""The Python client against a real server: upload, count, refusals."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from webapp.access.services import token_make
from webapp.jobs.models import Job
from webapp.slides.models import Slide
from webapp.slides.storage import local_path

FILE = Path(__file__).resolve().parents[3] / "static" / "mitoscope.py"
CANDIDATES = [(100.0, 50.0, 0.95), (200.5, 60.0, 0.5), (300.0, 70.0, 0.49)]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mitoscope", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["mitoscope"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(module, live_server, alice):
    return module.Mitoscope(live_server.url, token_make(user=alice))


@pytest.mark.django_db(transaction=True)
def test_it_reads_the_count(server, make_slide, make_run):
    slide = make_slide(mpp=2.0, tissue_fraction=0.5)
    make_run(slide, CANDIDATES)
    count = server.slide(str(slide.pk)).wait(every=0.1).count(area_mm2=0.5)
    assert (count.count, count.hotspot.count, count.score.value) == (2, 2, 2)
    assert count.count_per_mm2 == 2 / count.tissue_mm2
    assert count.hotspot.interval == count.score.interval == pytest.approx((0.2422, 7.2247), abs=1e-4)
    assert [s.id for s in server.slides(state="ready")] == [str(slide.pk)]
    assert server.slide(str(slide.pk)).export("csv").count(b"\r\n") == 4


@pytest.mark.django_db(transaction=True)
def test_it_uploads_in_parts(server, module, study, picture, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 100_000)
    path = tmp_path / "frame.png"
    Image.fromarray(picture).save(path)
    assert path.stat().st_size > 300_000
    slide = server.upload(path, case="K1", mpp=0.25, detect=False)
    kept = Slide.objects.get(pk=slide.id)
    assert local_path(kept).read_bytes() == path.read_bytes()
    assert (kept.case.identifier, kept.mpp_x, kept.wants_detection) == ("K1", 0.25, False)
    assert slide.info()["state"] == "preparing"
    Job.objects.update(state="succeeded")
    Slide.objects.update(state="refused", remark="It is no slide.")
    with pytest.raises(module.MitoscopeError, match="It is no slide"):
        slide.wait(every=0.1)


@pytest.mark.django_db(transaction=True)
def test_what_is_refused_is_raised_with_the_servers_sentence(server, module, model, make_slide, live_server):
    slide = server.slide(str(make_slide().pk))
    with pytest.raises(module.MitoscopeError, match="No detection has been made") as raised:
        slide.count()
    assert raised.value.status == 409
    slide.detect()
    with pytest.raises(module.MitoscopeError, match="under way already"):
        slide.detect()
    with pytest.raises(module.MitoscopeError, match="Invalid token"):
        module.Mitoscope(live_server.url, "x" * 64).get("slides/")


def test_it_needs_nothing_but_python():
    imports = [
        line.split()[1].split(".")[0] for line in FILE.read_text().splitlines() if line.startswith(("import", "from"))
    ]
    assert set(imports) <= set(sys.stdlib_module_names)
