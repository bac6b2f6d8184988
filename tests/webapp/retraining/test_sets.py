"""Labelled sets as they come in: a zip is taken once, and stays in its folder."""

from __future__ import annotations

import pytest

from tests.webapp.retraining.conftest import zip_of
from webapp.core.errors import InvalidInput
from webapp.retraining.sets import set_import


def test_a_zip_that_leads_out_of_itself_and_one_twice_are_refused(root, tmp_path, settings):
    path = tmp_path / "x.zip"
    path.write_bytes(zip_of(**{"../evil.txt": "x"}))
    with pytest.raises(InvalidInput, match="leads out"):
        set_import(name="evil", source=path, by=root)
    path.write_bytes(b"no zip")
    with pytest.raises(InvalidInput, match="comes as a zip"):
        set_import(name="none", source=path, by=root)
    path.write_bytes(zip_of(a="1"))
    set_import(name="one", source=path, by=root)
    with pytest.raises(InvalidInput, match="there already"):
        set_import(name="two", source=path, by=root)
    assert len(list(settings.SET_DIR.iterdir())) == 1
    assert not (tmp_path / "evil.txt").exists()
