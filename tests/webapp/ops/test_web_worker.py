"""Connections that stay open are spread over the processes, and requests that do not arrive hold nobody up."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.waiting import wait_for
from webapp.ops import web_worker

ROOT = Path(__file__).resolve().parents[3]
APPLICATION = """
import os

def application(environ, start_response):
    if environ["PATH_INFO"].endswith("/medium"):
        start_response("200 OK", [("Content-Length", "5000")])
        return [bytes(5000)]
    if environ["PATH_INFO"].endswith("/large"):
        start_response("200 OK", [("Content-Length", str(30 << 20))])
        return environ["wsgi.file_wrapper"](open(__file__ + ".large", "rb"))
    read = len(environ["wsgi.input"].read())
    body = (f"{read} bytes" if read else str(os.getpid())).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def port(tmp_path):
    """Two processes that say which of them has answered, both ready."""
    (tmp_path / "pid_of.py").write_text(APPLICATION)
    (tmp_path / "pid_of.py.large").write_bytes(bytes(30 << 20))
    port = free_port()
    command = f"-m gunicorn pid_of --pythonpath {tmp_path} --bind 127.0.0.1:{port} --workers 2 --threads 4"
    kind = ["--worker-class", "webapp.ops.web_worker.WebWorker", "--no-control-socket", "--worker-tmp-dir", tmp_path]
    kind += ["--worker-connections", 300]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, *command.split(), *map(str, kind)], cwd=ROOT, stderr=log)
        try:
            seen: set[bytes] = set()
            wait_for(lambda: seen.update(processes(port, 1)) or len(seen) == 2, seconds=30, what="both processes")
            yield port
        finally:
            server.terminate()
            server.wait(20)


def processes(port: int, number: int) -> Counter[bytes]:
    """How many of so many connections, all open at once, each process has."""
    links = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(number)]
    said: Counter[bytes] = Counter()
    try:
        for link in links:
            link.connect()
        for link in links:
            link.request("GET", "/")
            said[link.getresponse().read()] += 1
    except OSError:
        if number > 1:
            raise
    finally:
        for link in links:
            link.close()
    return said


def test_all_threads_of_a_process_are_confined(port):
    for pid in processes(port, 4):
        said = [path.read_text() for path in Path(f"/proc/{pid.decode()}/task").glob("*/status")]
        if not any("NoNewPrivs:\t1" in status for status in said):
            pytest.skip("this kernel has no Landlock: processes are not confined here")
        assert len(said) > 1 and all("NoNewPrivs:\t1" in status for status in said)


def test_each_process_gets_its_share_of_connections_that_stay_open(port):
    shares = sorted(min(processes(port, 32).values()) for _ in range(5))
    assert shares[2] >= 10, shares  # 2 to 9 if they just took what they see


def answer(port: int) -> float:
    """Seconds until a question is answered."""
    began = time.monotonic()
    assert processes(port, 1).total() == 1
    return time.monotonic() - began


BEGUN = [
    b"",
    b"GET / HT",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
]


@contextlib.contextmanager
def opened(port: int, number: int, sends: bytes):
    """So many connections, each of which has sent this."""
    with contextlib.ExitStack() as open_ones:
        links = []
        for _ in range(number):
            links.append(open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)))
            links[-1].sendall(sends)
        yield links


def answered(links: list[socket.socket]) -> list[socket.socket]:
    return select.select(links, [], [], 0)[0]


@pytest.mark.parametrize("begun", BEGUN)
def test_requests_that_begin_and_stop_hold_nobody_up(port, begun):
    with opened(port, 100, begun):
        assert min(answer(port) for _ in range(3)) < 1
        assert answer(port) < 5
    assert answer(port) < 5


def test_clients_that_do_not_take_what_they_asked_for_hold_nobody_up(port):
    with opened(port, 40, b"GET /static/large HTTP/1.1\r\nHost: a\r\n\r\n"):
        assert min(answer(port) for _ in range(3)) < 1
        assert answer(port) < 5


def test_downloads_of_many_that_nobody_takes_hold_up_no_list(port):
    with contextlib.ExitStack() as open_ones:
        for person in range(10):
            head = b"GET /api/v1/large HTTP/1.1\r\nHost: a\r\nAuthorization: Token %d\r\n\r\n" % person
            open_ones.enter_context(opened(port, 12, head))
        time.sleep(0.5)
        with opened(port, 4, b"GET /api/v1/slides/ HTTP/1.1\r\nHost: a\r\n\r\n") as links:
            assert all(link.recv(100).startswith(b"HTTP/1.1 200") for link in links)


def test_who_asks_again_and_again_without_taking_an_answer_holds_nobody_up(port):
    with opened(port, 24, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as links:
        for link in links:
            link.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(3000):
                    link.send(b"GET /login/medium HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(2)
        assert min(answer(port) for _ in range(3)) < 1


@pytest.mark.parametrize(
    ("header", "who"),
    [(b"Authorization: Token abc", b"abc"), (b"authorization:Token  \tabc  ", b"abc"),
     (b"Cookie: sessionid=1; sessionid=2", b"2"), (b"Cookie: a=b;sessionid = 2 ", b"2")],
)  # fmt: skip
def test_a_person_has_one_share_however_they_write_who_they_are(header, who):
    arriving = web_worker._Arriving(b"GET /api/v1/slides/ HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n\r\n")
    assert arriving.is_whole() and (arriving.long, arriving.who) == ("out", who)


@pytest.mark.parametrize("mine", [b"Authorization: Token 1", b"Cookie: a=b; sessionid=1; c=d"])
def test_one_person_leaves_threads_to_others(port, mine):
    """More downloads that nobody takes than both processes have for one person; those of somebody else come at once."""
    with opened(port, 60, b"GET /api/v1/large HTTP/1.1\r\nHost: a\r\n" + mine + b"\r\n\r\n"):
        time.sleep(0.5)
        for other in (b"Authorization: Token 2", b"Cookie: sessionid=2"):
            with opened(port, 4, b"GET /api/v1/large HTTP/1.1\r\nHost: a\r\n" + other + b"\r\n\r\n") as links:
                assert all(link.recv(100).startswith(b"HTTP/1.1 200") for link in links)


def test_what_one_person_has_waiting_is_answered_in_turn(port):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Token 1\r\nContent-Length: 100000\r\n\r\n"
    with opened(port, 80, head) as links:
        time.sleep(0.5)
        for link in links:
            link.sendall(bytes(100_000))
        for link in links:
            said = b""
            while not said.endswith(b"100000 bytes"):
                more = link.recv(1000)
                assert more, said
                said += more


def test_one_address_has_half_of_the_connections_of_a_process(port):
    """Twice 150; those of others are let in."""
    with opened(port, 400, b"GET /") as links:
        wait_for(lambda: len(answered(links)) >= 100, seconds=9, what="those that are refused")
        assert {one.recv(12) for one in answered(links)} <= {b"HTTP/1.1 429", b""}
        with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=("127.0.0.2", 0)) as other:
            other.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200")
    wait_for(lambda: answer(port) < 1, seconds=10, what="room after they have gone")


def test_clients_that_do_not_close_hold_nobody_up(port):
    with opened(port, 20, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") as links:
        assert all(link.recv(100) for link in links)
        assert min(answer(port) for _ in range(3)) < 1
        assert answer(port) < 5


def sent(port: int, *pieces: bytes) -> bytes:
    """All that is answered to what is sent in pieces."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        for piece in pieces:
            link.sendall(piece)
            time.sleep(0.05)
        link.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: link.recv(4096), b""))


OPEN, ONE = b"POST / HTTP/1.1\r\nHost: a\r\n", b"Content-Length: 1\r\n\r\na"
CLOSE = b"\r\nHost: a\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([b"GET / HTT", b"P/1.1", CLOSE, b"\r\n"], [b"200 OK"]),
        ([b"POST / HTTP/1.1" + CLOSE + b"content-length:  5\r\n\r\nab", b"cde"], [b"5 bytes"]),
        ([b"POST / HTTP/1.1" + CLOSE + b"Content-Length: 600000\r\n\r\n", b"x" * 600_000], [b"600000 bytes"]),
        ([b"POST / HTTP/1.1" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"0\r\n\r\n"], [b"3 bytes"]),
        (
            [b"POST / HTTP/1.1" + CLOSE + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", b"abcd"],
            [b"100 Continue", b"4 bytes"],
        ),
        ([OPEN + b"Content-Length: 2\r\n\r\nabPOST / HTTP/1.1" + CLOSE, ONE], [b"2 bytes", b"1 bytes"]),
        ([b"no request at all\r\n\r\n"], [b"400 Bad Request"]),
        ([b"GET / HTTP/1.1\r\n" + 9 * (b"X: " + b"y" * 8000 + b"\r\n")], [b"431 Request Header Fields Too Large"]),
    ],
)  # fmt: skip
def test_a_request_is_the_same_however_it_arrives(port, pieces, said):
    answered = sent(port, *pieces)
    places = [answered.find(words) for words in said]
    assert -1 not in places and places == sorted(places), answered


def test_what_arrives_too_slowly_is_given_up(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(web_worker.time, "monotonic", lambda: now[0])
    arriving = web_worker._Arriving(b"GET / HTTP/1.1\r\n")
    late = []
    for seconds, more in ((5, b""), (9.9, b""), (10.5, b""), (11, b"x" * 5000), (14.9, b""), (16, b"")):
        now[0] = 100 + seconds
        arriving.received += more
        late.append(arriving.is_late())
    assert late == [False, False, True, False, False, True]
