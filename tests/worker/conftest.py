"""Model versions with real (small, untrained) weights, and a drawn labelled set."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
import torch
from django.db import connection
from PIL import Image

from detector.model.checkpoint import save_weights
from detector.model.network import ResNet12, mitosis_logit
from tests.drawing import draw_hpf
from webapp.jobs.states import State
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_activate, version_register
from webapp.retraining.sets import set_import
from worker.tasks import ingest

LOCKED = [f"B0{i}" for i in range(2, 7)]
CASES = ["B00", "B01", *LOCKED]


@pytest.fixture
def active_model(db, settings) -> ModelVersion:
    """A narrow network that sees things from every side alike, with logits on noise that spread by 2 around -2.5, so
    that some figures are above the floor."""
    torch.manual_seed(11)
    network = ResNet12((4, 4, 4, 4, 4, 4)).eval()
    with torch.no_grad():
        torch.nn.init.normal_(network.classifier.weight)
        for part in (module for module in network.modules() if isinstance(module, torch.nn.Conv2d)):
            turned = [torch.rot90(one, k, (2, 3)) for one in (part.weight, part.weight.flip(3)) for k in range(4)]
            part.weight.copy_(torch.stack(turned).mean(0))
        noise = torch.from_numpy(np.random.default_rng(0).normal((215, 150, 185), 20, (400, 400, 3))).float()
        logits = mitosis_logit(network(noise.permute(2, 0, 1)[None]))
        network.classifier.weight *= 2 / logits.std()
        network.classifier.bias[1] -= 2.5 + logits.mean() * 2 / logits.std()
    path = settings.MODEL_DIR / "mitoscope.safetensors"
    save_weights(network, path, {"name": "test weights"})
    version = version_register(weights=path)
    version_activate(version=version)
    return version


@pytest.fixture
def large():
    """Enough for several rectangles of windows, with glass between."""
    rng = np.random.default_rng(0)
    image = np.full((2600, 4700, 3), 244, dtype=np.uint8)
    for x0, x1 in ((100, 1500), (3000, 4600)):
        block = image[200:2400, x0:x1]
        block[:] = np.clip(np.array([205, 140, 180]) + rng.normal(0, 30, block.shape), 0, 255)
    return image


@pytest.fixture
def outside(tmp_path):
    """The environment of a process of its own, on the database and files of this test."""
    if connection.vendor != "postgresql":
        pytest.skip("the tests run on SQLite alone, in the memory of this process")
    path, _, query = os.environ["DATABASE_URL"].partition("?")
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "DATABASE_URL": f"{path.rsplit('/', 1)[0]}/{connection.settings_dict['NAME']}?{query}",
        "DATA_DIR": str(tmp_path),
        "MODEL_DIR": str(tmp_path / "models"),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(autouse=True)
def one_thread():
    """So small a network computes faster in one thread, the more so where other tests run beside it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    """A set of seven cases in the layout of MITOS 2012, as a zip."""
    folder = tmp_path_factory.mktemp("set")
    path = folder / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, case in enumerate(CASES):
            hpf = draw_hpf(f"{case}_00", seed=number)
            Image.fromarray(hpf.image).save(folder / "frame.png")
            archive.write(folder / "frame.png", f"frames/{case}_00.png")
            archive.writestr(f"labels/{case}_00.csv", "".join(f"{x},{y}\n" for x, y in hpf.mitoses - 0.5))
    return path


@pytest.fixture
def drawn_set(zipped, root):
    made = set_import(name="drawn", source=zipped, by=root)
    ingest(shard_pk=made.job.shards.get().pk)
    made.job.refresh_from_db()
    assert made.job.state == State.SUCCEEDED, made.job.traceback
    return made
