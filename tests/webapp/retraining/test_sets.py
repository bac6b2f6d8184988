"""Labelled sets as they come in: a zip is taken once, and stays in its folder."""

from __future__ import annotations

import shutil

import pytest

from tests.webapp.retraining.conftest import zip_of
from webapp.core.errors import InvalidInput
from webapp.retraining.sets import folder_hash, set_import


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


def test_a_folder_of_symbolic_links_is_the_same_set_as_its_files(root, tmp_path, settings):
    files, links = tmp_path / "files", tmp_path / "links"
    for name, content in {"labels/A00_01.csv": "1,2", "frames/A00_01.png": "pixels"}.items():
        (files / name).parent.mkdir(parents=True)
        (files / name).write_text(content)
    links.mkdir()
    (links / "labels").symlink_to(files / "labels")
    (links / "frames").mkdir()
    (links / "frames" / "A00_01.png").symlink_to(files / "frames" / "A00_01.png")
    (links / "frames" / "circle").symlink_to(links)
    assert folder_hash(links) == folder_hash(files)
    made = set_import(name="links", source=links, by=root)
    assert made.sha256 == folder_hash(files)
    shutil.rmtree(files)
    assert (made.folder / "labels" / "A00_01.csv").read_text() == "1,2", "copied, not linked"
    assert (made.folder / "frames" / "A00_01.png").read_text() == "pixels"
