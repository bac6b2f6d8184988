"""People, slides and models that the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real slides and labels; tests that need it are skipped, saying so, without it."""
    folder = os.environ.get("MITOSCOPE_DATA", "")
    if not folder:
        pytest.skip("MITOSCOPE_DATA is not set: real slides and labels are not here")
    return Path(folder)
