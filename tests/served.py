"""The web server as it is run, with a database of its own: for what only real connections show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parent.parent
SETUP = """
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from knox.models import AuthToken
from webapp.slides.studies import study_create

call_command("migrate", verbosity=0)
alice = User.objects.create_user("alice")
study_create(name="Breast", manager=alice)
print(AuthToken.objects.create(alice)[1])
"""


@dataclass
class Server:
    """gunicorn with a database of its own."""

    environment: dict[str, str]
    port: int
    token: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "webapp.wsgi",
            "--bind",
            f"127.0.0.1:{self.port}",
            "--worker-class",
        ]
        command += ["webapp.ops.web_worker.WebWorker", "--threads", "4", "--no-control-socket", "--log-level", "error"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True)

    def kill(self) -> None:
        """As when the machine loses power."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.address}/api/v1/health/", timeout=5).status == 200
        except OSError:
            return False


@pytest.fixture(params=["postgresql", "sqlite"])
def server(request, tmp_path) -> Iterator[Server]:
    environment = {**os.environ, "DATA_DIR": str(tmp_path / "data"), "DJANGO_SETTINGS_MODULE": "webapp.settings"}
    (tmp_path / "data" / "static").mkdir(parents=True)
    environment.pop("DATABASE_URL", None)
    if request.param == "postgresql":
        environment["DATABASE_URL"] = new_database()
    made = subprocess.run(
        [sys.executable, "-c", SETUP], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    server = Server(environment, free_port(), made.stdout.split()[-1])
    server.start()
    wait_for(server.answers, seconds=60, what="the server")
    yield server
    server.kill()


def new_database() -> str:
    """A database beside the one of the tests."""
    import psycopg

    url = os.environ.get("DATABASE_URL", "")
    if not url:
        pytest.skip("the tests run on SQLite alone: there is no PostgreSQL to use")
    name = f"served_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"  # the processes share PostgreSQL
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    base, _, query = url.partition("?")
    return f"{base.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")
