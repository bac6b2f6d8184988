"""A real tus client, killed at half, and a server killed under it: the upload goes on and arrives whole."""

from __future__ import annotations

import hashlib
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

ROOT = Path(__file__).resolve().parent.parent.parent
SIZE = 24 << 20
CHUNK = 1 << 20
CLIENT = """
import sys
from tusclient import client
from tusclient.storage import filestorage

address, token, file, store, pause = sys.argv[1:6]
tus = client.TusClient(f"{address}/api/v1/uploads/", headers={"Authorization": f"Token {token}"})
uploader = tus.uploader(
    file, chunk_size=1 << 20, store_url=True, url_storage=filestorage.FileStorage(store), upload_checksum=True,
    metadata={"filename": "slide.svs", "case": "P-1"}, retries=60, retry_delay=0.5,
)
retry = uploader._retry_or_cry

def say_and_retry(error):
    print("away", uploader.offset, flush=True)
    retry(error)

uploader._retry_or_cry = say_and_retry
print("begin", uploader.offset, flush=True)
import time
while uploader.offset < uploader.get_file_size():
    uploader.upload_chunk()
    print("at", uploader.offset, flush=True)
    time.sleep(float(pause))
"""
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
        command += ["gthread", "--threads", "4", "--no-control-socket", "--log-level", "error"]
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
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS tus WITH (FORCE)")
        connection.execute("CREATE DATABASE tus")
    base, _, query = url.partition("?")
    return f"{base.rsplit('/', 1)[0]}/tus" + (f"?{query}" if query else "")


def client(server: Server, file: Path, store: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CLIENT, server.address, server.token, str(file), str(store), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def read_until(process: subprocess.Popen[str], offset: int, word: str = "at") -> None:
    """Read what the client says up to this word ("away" where the server was) and so many bytes."""
    for line in process.stdout:
        said, at = line.split()
        if said == word and int(at) >= offset:
            return
    pytest.fail("the client ended too early")


def test_a_killed_client_and_a_killed_server_lose_nothing(server, tmp_path):
    file, store = tmp_path / "slide.svs", tmp_path / "urls.json"
    file.write_bytes(os.urandom(SIZE))

    first = client(server, file, store, 0.02)
    read_until(first, SIZE // 3)
    first.kill()
    first.wait()

    second = client(server, file, store, 0.05)
    begun = int(second.stdout.readline().split()[1])
    assert SIZE // 3 <= begun < SIZE, "the second client goes on where the first was"
    read_until(second, SIZE // 2)
    server.kill()
    read_until(second, SIZE // 2, "away")
    server.start()
    rest = second.stdout.read()
    assert second.wait(timeout=120) == 0
    assert f"at {SIZE}" in rest

    (slide,) = (tmp_path / "data" / "slides").iterdir()
    (arrived,) = (slide / "original").iterdir()
    assert hashlib.sha256(arrived.read_bytes()).digest() == hashlib.sha256(file.read_bytes()).digest()
    assert not list((tmp_path / "data" / "uploads").iterdir())
