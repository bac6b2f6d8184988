"""A real tus client, killed at half, and a server killed under it: the upload goes on and arrives whole."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.served import Server

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
