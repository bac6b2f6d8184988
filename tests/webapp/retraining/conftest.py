"""A labelled set, a mining run and a candidate version to begin with."""

from __future__ import annotations

import io
import zipfile

import pytest

from webapp.registry.models import ModelVersion
from webapp.retraining.mining import mining_request
from webapp.retraining.models import (
    LabelledFrame,
    LabelledSet,
    MinedSample,
    TrainingRun,
)


@pytest.fixture
def labelled_set(root):
    made = LabelledSet.objects.create(name="set", sha256="a" * 64, by=root)
    LabelledFrame.objects.bulk_create(
        LabelledFrame(
            labelled_set=made, name=f"{case}_00", case=case, source="lab", mpp=0.25, width=300, height=300,
            mitoses=[[10, 10]], non_mitoses=[], exhaustive=True,
        )
        for case in ("A00", "A01", "A02", "A03")
    )  # fmt: skip
    return made


@pytest.fixture
def mined(root, model, make_slide):
    """A mining run of one slide with a hundred samples, least scores 0.80 to 0.99."""
    slide = make_slide()
    run = mining_request(slides=[slide], by=root)
    MinedSample.objects.bulk_create(
        MinedSample(
            run=run, slide=slide, x=i, y=i, scores=[0.8 + i / 500] * 8, least=0.8 + i / 500, draw=(i * 37 % 100) / 100
        )
        for i in range(100)
    )
    return run


@pytest.fixture
def candidate(db, settings):
    settings.MODEL_DIR.mkdir(parents=True, exist_ok=True)
    (settings.MODEL_DIR / "c.safetensors").write_bytes(b"")
    (settings.MODEL_DIR / "m.safetensors").write_bytes(b"")
    return ModelVersion.objects.create(name="c", path="c.safetensors", sha256="c" * 64, card={})


def trained(training, name="made", sha="d"):
    version = ModelVersion.objects.create(name=name, path=f"{name}.safetensors", sha256=sha * 64, card={})
    TrainingRun.objects.filter(pk=training.pk).update(version=version)
    return version


def zip_of(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()
