from __future__ import annotations

import hashlib
import json

import pytest
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
