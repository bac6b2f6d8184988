from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
import torch

from detector.model.network import ResNet12

NARROW = (4, 4, 6, 6, 8, 8)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Networks this small are fastest on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """Also where the tests were started in the background, by a shell that has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def make_network() -> Callable[..., ResNet12]:
    """Networks in evaluation mode whose every weight and statistic differs from its initial value."""

    def make(widths: tuple[int, ...] = NARROW, seed: int = 0) -> ResNet12:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = ResNet12(widths)
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    torch.nn.init.normal_(module.running_mean, 0, 0.3)
                    torch.nn.init.uniform_(module.running_var, 0.7, 1.5)
                    torch.nn.init.uniform_(module.weight, 0.4, 0.8)
                    torch.nn.init.normal_(module.bias, 0, 0.2)
            torch.nn.init.normal_(network.classifier.weight, 0, 0.1)
            torch.nn.init.normal_(network.classifier.bias, 0, 0.5)
        return network.eval()

    return make


@pytest.fixture(scope="session")
def network(make_network: Callable[..., ResNet12]) -> ResNet12:
    return make_network()
