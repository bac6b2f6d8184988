"""What a server does before it serves: once, however many start at the same moment; by whatever host name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/db.sqlite3"
        return
    if settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        pytest.skip("these tests run on SQLite")
    address = os.environ["DATABASE_URL"]
    path, _, query = address.partition("?")
    name = f"prepared_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    with psycopg.connect(address, autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name}")
        yield f"{path.rsplit('/', 1)[0]}/{name}?{query}"
        link.execute(f"DROP DATABASE {name} WITH (FORCE)")


def started(*command, **environment):
    given = {**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings", **environment}
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_that_start_at_once_prepare_once(database, tmp_path):
    given = {"DATA_DIR": str(tmp_path), "DATABASE_URL": database}
    both = [started("manage.py", "prepare", **given) for _ in range(2)]
    said = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("The first administrator, shown this once" in out for out, _ in said) == 1
    again = started("manage.py", "prepare", **given)
    assert "first administrator" not in again.communicate(timeout=120)[0] and again.returncode == 0


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
@pytest.mark.parametrize("allowed", ["", "*", "mitoscope.example.org", ".example.org, localhost"])
def test_the_health_check_asks_by_a_name_that_the_server_has(server, allowed):
    server.process.terminate()
    server.process.wait(20)
    server.environment["ALLOWED_HOSTS"] = allowed or "127.0.0.1,localhost"
    server.start()
    given = {"ALLOWED_HOSTS": allowed} if allowed else {}
    command = ["-m", "webapp.ops.health_check", str(server.port)]

    def is_healthy():
        check = started(*command, **given)
        check.communicate(timeout=30)
        return check.returncode == 0

    wait_for(is_healthy, seconds=60, what="a good health")
