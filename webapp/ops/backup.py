"""Everything that cannot be made again, in a folder elsewhere, and back.

A backup is FOLDER/TIME/ with the database, the keys, the weights and the trainings, beside FOLDER/slides/ and
FOLDER/sets/, which all backups share: a prepared slide or labelled set never changes, so each is copied once. The
database is copied first; every slide that it names is then there to be copied. Where slides are kept in a bucket they
are left to it. FOLDER/deleted names the slides that were deleted since: their files go from FOLDER/slides/ with the
next backup, and an older database that is put back loses them again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from webapp.audit.models import Action, Entry
from webapp.core import environment
from webapp.core.errors import DomainError
from webapp.retraining.patients import slides_delete_for_good
from webapp.slides.models import Case, Slide

_DELETED = "deleted"  # beside the backups: keys of slides that are to be in none of them
_KEYS = ("secret_key", "signing_key", "credentials.txt")


def backup_make(*, folder: Path) -> Path:
    """Write a backup; returns its folder. One that broke off has no name that `backup_restore` takes.

    Raises DomainError for a database that nobody has begun to use: it is hardly the one that was meant.
    """
    if not _is_in_use():
        given = connection.settings_dict
        raise DomainError(
            f"Nothing is in this database ({connection.vendor}: {given['NAME']}), so it is hardly the one in use. Set "
            "DATA_DIR or DATABASE_URL as the server has them; beside compose: docker compose run --rm backup."
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    final = folder / timezone.now().strftime("%Y-%m-%dT%H%M%S")
    partial = final.with_name(f"{final.name}.partial")
    partial.mkdir(mode=0o700)
    _dump(partial / "database")
    for name in _KEYS:
        if (source := Path(settings.DATA_DIR) / name).exists():
            shutil.copy2(source, partial / name)
    shutil.copytree(settings.MODEL_DIR, partial / "models")
    if Path(settings.TRAINING_DIR).exists():
        shutil.copytree(settings.TRAINING_DIR, partial / "trainings", ignore=shutil.ignore_patterns("*.partial"))
    _copy_missing(Path(settings.SET_DIR), folder / "sets")
    if not settings.S3_BUCKET:
        _copy_missing(Path(settings.SLIDE_DIR), folder / "slides")
    _drop_deleted(folder)
    partial.rename(final)
    return final


def backup_restore(*, folder: Path) -> None:
    """Put a backup back, into a database and a data folder that hold no slides. Migrations that are newer are run."""
    if not (folder / "database").exists() or folder.suffix == ".partial":
        raise DomainError(f"{folder} is not a finished backup; name the folder with the date.")
    if _slides() > 0:
        raise DomainError("There are slides in this database; a backup is only put back into a new one.")
    connection.close()
    _load(folder / "database")
    data = Path(settings.DATA_DIR)
    for name in _KEYS:
        if (source := folder / name).exists():
            shutil.copy2(source, data / name)
    settings.AUDIT_HEAD.unlink(missing_ok=True)  # of the database that was here
    if (key := data / "signing_key").exists() and not environment.text("SIGNING_KEY", ""):
        settings.SIGNING_KEY = key.read_text("utf-8")  # what the migrations below seal is of this installation
    _copy_missing(folder / "models", Path(settings.MODEL_DIR))
    _copy_missing(folder / "trainings", Path(settings.TRAINING_DIR))
    _copy_missing(folder.parent / "sets", Path(settings.SET_DIR))
    if (slides := folder.parent / "slides").exists():
        _copy_missing(slides, Path(settings.SLIDE_DIR))
    call_command("migrate", verbosity=0)
    _delete_again(folder.parent)


def _drop_deleted(folder: Path) -> None:
    """Of slides that were deleted here no backup keeps files; an older database that is put back loses them again."""
    deleted = set(Entry.objects.filter(action=Action.SLIDE_DELETED).values_list("object_id", flat=True))
    deleted = {str(UUID(pk)) for pk in deleted | _deleted(folder)}
    (folder / _DELETED).write_text("".join(f"{pk}\n" for pk in sorted(deleted)), "utf-8")
    for pk in deleted:
        shutil.rmtree(folder / "slides" / pk, ignore_errors=True)


def _deleted(folder: Path) -> set[str]:
    """Keys of slides that were deleted, as noted beside the backups."""
    file = folder / _DELETED
    return set(file.read_text("utf-8").split()) if file.exists() else set()


def _delete_again(folder: Path) -> None:
    slides = list(Slide.objects.filter(pk__in=_deleted(folder)).select_related("case"))
    slides_delete_for_good(slides=slides, by=None)
    Case.objects.filter(pk__in={slide.case_id for slide in slides}, slides=None).delete()


def _dump(file: Path) -> None:
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        with contextlib.closing(sqlite3.connect(file)) as copy:
            connection.connection.backup(copy)
        return
    with _postgres() as (name, environment):
        _run(["pg_dump", "--format=custom", "--no-owner", f"--file={file}", name], environment)


def _load(file: Path) -> None:
    if connection.vendor == "sqlite":
        target = Path(str(connection.settings_dict["NAME"]))
        for part in ("-wal", "-shm"):
            target.with_name(target.name + part).unlink(missing_ok=True)
        shutil.copy2(file, target)
        return
    with _postgres() as (name, environment):
        options = ["--clean", "--if-exists", "--no-owner", "--single-transaction", f"--dbname={name}"]
        _run(["pg_restore", *options, str(file)], environment)


@contextlib.contextmanager
def _postgres() -> Iterator[tuple[str, dict[str, str]]]:
    """Name of the database, and the environment in which PostgreSQL's own programs find it."""
    given = connection.settings_dict
    host = given["HOST"] or given.get("OPTIONS", {}).get("host", "")
    variables = {"PGHOST": host, "PGPORT": given["PORT"], "PGUSER": given["USER"], "PGPASSWORD": given["PASSWORD"]}
    yield given["NAME"], {**os.environ, **{name: str(value) for name, value in variables.items() if value}}


def _run(command: list[str], environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    except FileNotFoundError:
        raise DomainError(f"{command[0]} is not installed (Debian: apt install postgresql-client).") from None
    if done.returncode:
        raise DomainError(f"{command[0]} failed: {done.stderr.strip()[-1000:]}")


def _is_in_use() -> bool:
    return User._meta.db_table in connection.introspection.table_names() and User.objects.exists()


def _slides() -> int:
    """Rows of the table of slides; 0 where there is no table yet."""
    if Slide._meta.db_table not in connection.introspection.table_names():
        return 0
    return Slide.objects.count()


def _copy_missing(source: Path, target: Path) -> None:
    """Copy what is not there yet; each file whole or not at all. A link stays one: a slide that is used in place is in
    no backup."""
    for folder, _, names in os.walk(source):
        for path in (Path(folder) / name for name in names):
            copy = target / path.relative_to(source)
            if not os.path.lexists(copy):
                copy.parent.mkdir(parents=True, exist_ok=True)
                partial = copy.with_name(f"{copy.name}.copying")
                shutil.copy2(path, partial, follow_symlinks=False)
                partial.replace(copy)
