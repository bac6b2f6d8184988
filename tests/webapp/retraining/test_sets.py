"""Labelled sets as they come in: a zip is taken once, and stays in its folder."""

from __future__ import annotations

import shutil

import pytest

from tests.webapp.retraining.conftest import zip_of
from webapp.audit.models import Entry
from webapp.core.errors import DomainError, InvalidInput
from webapp.jobs.models import Job
from webapp.jobs.states import State
from webapp.retraining.models import LabelledSet
from webapp.retraining.sets import folder_hash, set_import, set_remove


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


def test_a_set_that_could_not_be_read_is_removed_and_no_other(
    root, tmp_path, settings, django_capture_on_commit_callbacks
):
    path = tmp_path / "x.zip"
    path.write_bytes(zip_of(a="1"))
    made = set_import(name="one", source=path, by=root)
    with pytest.raises(DomainError, match="is being read"):
        set_remove(labelled_set=made, by=root)
    Job.objects.update(state=State.FAILED)
    with django_capture_on_commit_callbacks(execute=True):
        set_remove(labelled_set=made, by=root)
    assert not LabelledSet.objects.exists() and not Job.objects.exists() and not list(settings.SET_DIR.iterdir())
    assert Entry.objects.filter(action="deleted", who="root", object="one").exists()
    set_import(name="one", source=path, by=root)


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
