from __future__ import annotations

import hashlib
import json

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from webapp.registry.models import ModelVersion
from webapp.registry.services import version_activate, version_register


@pytest.fixture
def put(settings, tmp_path, db):
    """Puts weights of some bytes into the folder of models."""
    settings.MODEL_DIR = tmp_path / "models"
    settings.MODEL_DIR.mkdir()

    def put(content: bytes, name: str = "mitoscope"):
        path = settings.MODEL_DIR / f"{name}.safetensors"
        path.write_bytes(content)
        card = {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
        path.with_suffix(".json").write_text(json.dumps(card))
        return path

    return put


def test_weights_that_an_upgrade_brings_are_active_where_the_shipped_ones_were(put):
    put(b"old")
    call_command("register_weights", verbosity=0)
    put(b"new")
    call_command("register_weights", verbosity=0)
    active = ModelVersion.objects.get(state="active")
    assert active.sha256 == hashlib.sha256(b"new").hexdigest()
    assert ModelVersion.objects.get(sha256=hashlib.sha256(b"old").hexdigest()).state == "retired"


def test_a_laboratory_that_uses_other_weights_keeps_them_through_an_upgrade(put):
    put(b"old")
    call_command("register_weights", verbosity=0)
    own = version_register(weights=put(b"own", "own"))
    version_activate(version=own)
    put(b"new")
    call_command("register_weights", verbosity=0)
    assert ModelVersion.objects.get(state="active") == own
    assert ModelVersion.objects.get(sha256=hashlib.sha256(b"new").hexdigest()).state == "candidate"


_OWN = {"f1_at_0.5": 0.71, "precision": 0.7, "recall": 0.7, "mitoses": 9, "frames": 2}
_PARENT = {
    "iterations": 10,
    "metrics": _OWN | {"f1_at_0.5": 0.82},
    "held_out": [{"source": "MITOS12", "case_names": ["A04"]}],
    "calibration": {"f1_at_0.5_before": 0.79},
}


@pytest.mark.parametrize(
    ("card", "shown", "hidden"),
    [
        ({"metrics": _OWN, "parent": _PARENT}, ["0.710"], ["0.820", "0.790", "Not measured"]),
        ({"parent": _PARENT, "calibration": {"f1_at_0.5_before": 0.6}}, ["Not measured"], ["0.820", "0.790"]),
        ({"metrics": _OWN,
          "metrics_by_source": {"H": _OWN | {"f1_at_0.5": 0.612}, "MIDOG": _OWN | {"f1_at_0.5": 0.634}},
          "data": [{"source": "H", "mitoses": 5, "cases": 1}], "fg_wsi": 12,
          "calibration": {"f1_at_0.5_before": 0.6, "reliability": {"H": [
              {"at_least": 0.5, "below": 0.65, "detections": 41, "mitoses": 23}]}}},
         ["0.612", "0.634", "MIDOG <span class=\"muted small\">a laboratory it has not", "0.50 to 0.65", "12 samples"],
         ["H <span class=\"muted small\">a laboratory it has not seen", "left these cases out"]),
        ({"metrics": _OWN, "metrics_by_source": {"H": _OWN}, "data": [{"source": "H", "mitoses": 5, "cases": 1}],
          "measured_by": {"name": "course", "data": [{"source": "MITOS12", "mitoses": 5, "cases": 1}]}},
         ["H <span class=\"muted small\">a laboratory it has not seen", "left these cases out"], ["Not measured"]),
        ({"metrics": _OWN, "metrics_by_source": {"H": _OWN}, "data": [{"source": "H", "mitoses": 5, "cases": 1}],
          "left_out": {"plan": "sources-9", "parent": None, "metrics_by_source": {"H": _OWN | {"f1_at_0.5": 0.587}}}},
         ["H <span class=\"muted small\">a laboratory it knows", "H <span class=\"muted small\">a laboratory it has",
          "0.587", "(plan sources-9)"], ["left these cases out"]),
    ],
)  # fmt: skip
def test_a_version_shows_its_own_figures_and_never_its_parents(client, db, card, shown, hidden):
    client.force_login(User.objects.create_user("reader"))
    version = ModelVersion.objects.create(name="v", path="v.safetensors", sha256="0" * 64, card=card)
    for address in ("/models/", f"/models/{version.pk}/"):
        page = " ".join(client.get(address).content.decode().split())
        for text in shown:
            assert text in page
        for text in hidden:
            assert text not in page.split("Model card (JSON)")[0]
