"""Shards as a worker finds them, and a model version with real (small, untrained) weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detector.checkpoint import save_weights
from detector.network import ResNet12, mitosis_logit
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_activate, version_register


@pytest.fixture
def active_model(db, settings) -> ModelVersion:
    """A narrow network whose logits on noise spread by 2 around -2.5, so that some cells are above the floor."""
    torch.manual_seed(5)
    network = ResNet12((4, 4, 4, 4, 4, 4)).eval()
    with torch.no_grad():
        torch.nn.init.normal_(network.classifier.weight)
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
