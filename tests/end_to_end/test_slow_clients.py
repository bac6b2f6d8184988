"""Clients that send slowly, or begin and stop: the site answers all the while, and what they sent is kept."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.served import ROOT
from tests.waiting import wait_for

STALLED = (
    b"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: csrftoken=" + b"a" * 32 + b"\r\nContent-Length: %d\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition: form-data; "
    b'name="f"; filename="a"\r\n\r\nA'
)
UPLOADS, PEOPLE = 200, 4
TILE = (
    "/api/v1/slides/7d1d94f2-5b9a-4be9-9c2c-2b9d0a7e6c11/tiles_files/0/0_0.jpeg"  # of no slide: asked for all the same
)
PIECE = 1000


def ask(server, method, path, body=b"", **headers):
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    link.request(method, path, body, {"Authorization": f"Token {server.token}", "Tus-Resumable": "1.0.0", **headers})
    answer = link.getresponse()
    answer.data = answer.read()
    link.close()
    return answer


def begun_upload(server, open_ones):
    """An upload of 100 kB whose PATCH has sent the first piece; its address, and its connection."""
    named = {"Upload-Length": "100000", "Upload-Metadata": "filename YS50aWY="}
    made = ask(server, "POST", "/api/v1/uploads/", **named)
    assert made.status == 201, made.data
    link = open_ones.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
    head = (
        f"PATCH {made.headers['Location']} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {server.token}\r\n"
        "Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n"
        "Content-Length: 100000\r\n\r\n"
    )
    link.sendall(head.encode() + b"x" * PIECE)
    return made.headers["Location"], link


def new_token(server):
    made = subprocess.run(
        [sys.executable, "manage.py", "make_token", "alice"], cwd=ROOT, env=server.environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return made.stdout.strip()


def seconds_to_answer(server):
    began = time.monotonic()
    assert urllib.request.urlopen(f"{server.address}/api/v1/health/", timeout=30).status == 200
    assert ask(server, "GET", TILE).status == 404
    return time.monotonic() - began


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_slow_and_stalled_clients_hold_nobody_up_and_lose_nothing(server):
    with contextlib.ExitStack() as open_ones:
        for number in range(60):
            link = open_ones.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            link.sendall(STALLED % (1_000_000 if number % 2 else 10_000))
        tokens = [server.token, *(new_token(server) for _ in range(PEOPLE - 1))]
        uploads = []
        for number in range(UPLOADS):
            server.token = tokens[number % PEOPLE]
            uploads.append(begun_upload(server, open_ones))
        took = []
        for _ in range(10):
            for _, link in uploads:
                link.sendall(b"y" * PIECE)
            took.append(seconds_to_answer(server))
        assert sorted(took)[len(took) // 2] < 1 and max(took) < 5, took
        server.token = new_token(server)
        began = time.monotonic()
        _, link = begun_upload(server, open_ones)
        link.sendall(b"z" * (100_000 - PIECE))
        assert link.recv(100).startswith(b"HTTP/1.1 204")
        assert time.monotonic() - began < 3, "another upload does not wait for them"

    def offset(path):
        return json.loads(ask(server, "GET", path).data)["offset"]

    wait_for(lambda: offset(uploads[0][0]) == 11 * PIECE, seconds=60, what="what arrived of the first upload")
    wait_for(lambda: offset(uploads[-1][0]) == 11 * PIECE, seconds=60, what="what arrived of the last upload")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_large_body_before_sign_in_is_refused_before_it_is_read(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        link.sendall(STALLED % 700_000_000)
        assert b" 413 " in link.recv(4096).split(b"\r\n")[0]
    small = urllib.request.urlopen(f"{server.address}/login/", timeout=30)
    assert small.status == 200
