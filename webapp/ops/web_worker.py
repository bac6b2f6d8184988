"""The worker class of the web server: requests are read before they take a thread, connections spread evenly.

A thread that waits for the rest of a request is one that answers nobody, and there are few: ten connections that begin
a body and stop would hold the whole site. So the process's one loop, which waits for all connections at once, reads
each request; a thread gets it when it is whole. What is large, or may take long by nature, has threads of its own:
bodies that come in slowly, files that go out slowly. They are many, and use the database in turns, not while they wait.
One person takes a share of those; what more they send waits for them, not for others. One address has at most half of
the connections, too, where no proxy stands in front.

All processes wait at one socket, and the one that runs already is the first to see a new connection. So one process
got all the connections of a browser, which it keeps open, and the others none. SO_REUSEPORT would spread them too, but
loses those that wait at a process when it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import resource
import selectors
import socket
import struct
import sys
import termios
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import unquote

from django.apps import apps
from django.db import connections
from gunicorn.workers.gthread import ThreadWorker

from webapp.core.database import database_turn
from webapp.core.streams import Patient, PatientAnswer

_SECONDS = 0.0003  # that a new connection is left to others, for each connection that it has
_MOST = 20  # of these
_BLOCK = 1 << 16
_HEAD_BYTES = 1 << 16  # at most
_SHORT_BODY = 1 << 16  # bytes; kept in memory until they are all there
_THREADS = {"in": 400, "out": 200}  # of what takes long: they wait for their clients, and use little besides
_OF_ONE = {"in": 200, "out": 8}  # threads, at most, of one person: uploads wait for a line, downloads take all of it
_TURNS = 16  # of each at the database
_FILES = 65_536  # open ones, at most; a process may have 1,024 where nobody asks for more
_ANSWER = 1 << 18  # bytes that are sent without waiting for who takes them
_CLOSERS, _CLOSING = 8, 64  # threads that close connections in peace, and how many may wait for that
_PATIENCE = 10.0  # seconds that a request may take to arrive, and
_LEAST_RATE = 1000  # bytes a second that it must arrive with from then on
_UNREAD = 0.2  # seconds
_STANDSTILL = 30  # seconds in which a client must take or send anything at all
_REFUSED = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
# A body without a length; parts of uploads, which are kept though the rest never comes.
_IN = re.compile(rb"\r\ntransfer-encoding:|^PATCH [^ ]*/uploads/", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[^\r]*", re.IGNORECASE)  # a body that waits to be asked for
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Whose a request is, as far as its head says so; of several cookies of a name the last one is meant.
_SESSION = re.compile(rb"\r\ncookie:[^\r]*[ \t:;]sessionid[ \t]*=[ \t]*([^;\s]*)", re.IGNORECASE)
_TOKEN = re.compile(rb"\r\nauthorization:[ \t]*token[ \t]+(\S*)", re.IGNORECASE)
_ADDRESS = re.compile(rb"^(?:GET|HEAD) +(?:[a-z]+://[^/ ]*)?([^ ?]*)", re.IGNORECASE)
# What may be large, of all that is looked at: static files, reports, and of the API what is not a tile, a crop, a count
# or an answer of a word.
_STATIC = re.compile(r"/+static/")
_OUT = re.compile(r"/+(static/|audit/|api/v1/(?!health/)(?!.*/(tiles_files|crop|thumbnail|mitosis-count)/))")


def _with_patience(application: Any, environ: dict[str, Any], start_response: Any) -> Any:
    """The application, with a body and an answer that can be waited for."""
    environ["wsgi.input"] = Patient(environ["wsgi.input"])
    return PatientAnswer(application(environ, start_response))


def _unsent(sock: socket.socket) -> int:
    """Bytes of answers that the client has not taken."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


_Turn = tuple[str, bytes]  # "in" or "out", and whose


class _Arriving:
    """A request on its way. received: what is there of it. needed: how long it is, once its head says so.

    long: "in" or "out" where it may take long. who: whose it is then, by token or session; else of its address.
    """

    def __init__(self, received: bytes) -> None:
        self.received, self.began = bytearray(received), time.monotonic()
        self.needed: int | None = None
        self.long, self.who = "", b""
        self.asks = False  # to be told that the body may come

    def is_whole(self) -> bool:
        """Whether a thread can take it: all of a short one is there, or the head of a long one."""
        if self.needed is None:
            end = self.received.find(b"\r\n\r\n") + 4
            if end < 4:
                return False
            head = bytes(self.received[:end])
            length = _LENGTH.search(head)
            body = int(length[1]) if length else 0
            unclear = length is None and b"content-length" in head.lower()
            address = _ADDRESS.match(head)
            path = unquote(address[1].decode("latin-1")) if address else ""
            if _OUT.match(path):  # though it brings a body: nobody reads that
                self.long = "out"
            elif unclear or body > _SHORT_BODY or _IN.search(head):
                self.long = "in"
            # A static file is everybody's: who asks for it need not be who it says.
            whose = None if _STATIC.match(path) else _TOKEN.search(head) or _SESSION.search(head)
            if self.long and whose:
                self.who = whose[1]
            if not self.long and (asked := _EXPECT.search(head)):
                self.asks = True
                del self.received[asked.start() : asked.end()]
                end -= asked.end() - asked.start()
            self.needed = end + body
        return bool(self.long) or len(self.received) >= self.needed

    def is_too_large(self) -> bool:
        """Whether its head does not end."""
        return self.needed is None and len(self.received) > _HEAD_BYTES

    def is_late(self) -> bool:
        """Whether it has taken too long."""
        return time.monotonic() - self.began > _PATIENCE + len(self.received) / _LEAST_RATE


class WebWorker(ThreadWorker):  # type: ignore[misc]  # its types are not known
    """A threaded worker whose threads get whole requests alone."""

    worker_connections: int
    wsgi: Any

    def init_process(self) -> None:
        """In the new process."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft = max(soft, min(hard, _FILES) if hard != resource.RLIM_INFINITY else _FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.worker_connections = min(self.worker_connections, soft // 2)  # others are for slides
        self.turns = {way: threading.Semaphore(_TURNS) for way in _THREADS}
        self.of_address: Counter[Any] = Counter()  # connections
        self.behind_proxies = False
        self.arriving: dict[Any, _Arriving] = {}
        self.pools = {way: ThreadPoolExecutor(number, way) for way, number in _THREADS.items()}
        self.closers = ThreadPoolExecutor(_CLOSERS, "close")
        self.running: Counter[_Turn] = Counter()
        self.waiting: defaultdict[_Turn, deque[Any]] = defaultdict(deque)
        self.cfg.set("sendfile", False)  # it waits for its reader without a limit
        super().init_process()

    def load_wsgi(self) -> None:
        """The application; it is confined before the first request, and before it has threads."""
        for library in ("OPENBLAS", "OMP", "MKL"):  # theirs are made when they are loaded, and would go free
            os.environ.setdefault(f"{library}_NUM_THREADS", "1")
        super().load_wsgi()
        self.wsgi = partial(_with_patience, self.wsgi)
        from webapp.core.confinement import confine_process  # needs the settings, which are there only now

        confine_process()
        if apps.ready:  # it is Mitoscope that is served
            from django.conf import settings

            from webapp.slides.storage import sweep_from_now_on

            self.behind_proxies = settings.PROXIES > 0  # everybody has their address, and they count for themselves
            sweep_from_now_on()

    def accept(self, listener: Any) -> None:
        """Accept a connection that is still there; left to others for a moment, the longer the more it has."""
        time.sleep(_SECONDS * min(self.nr_conns, _MOST))
        super().accept(listener)

    def enqueue_req(self, conn: Any) -> None:
        """Begin to read the next request of a connection."""
        if conn.parser is None and not self._is_welcome(conn):
            return
        held = conn.parser.unreader.take_buffered() if conn.parser else b""
        conn.sock.setblocking(False)
        self.arriving[conn] = _Arriving(held)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))
        self._read(conn)

    def _is_welcome(self, conn: Any) -> bool:
        """Count a new connection for its address, until it is closed; refuse it where that is more than its share."""
        address = conn.client[:1]
        self.of_address[address] += 1
        conn.close = partial(self._close_in_peace, conn.close, address)
        welcome = self.behind_proxies or self.of_address[address] <= self.worker_connections // 2
        if not welcome:
            with contextlib.suppress(OSError):
                conn.sock.send(_REFUSED % b"429 Too Many Requests")
            self._close(conn)
        return welcome

    def _read(self, conn: Any, _socket: Any = None) -> None:
        """Read what is there, and give the request to a thread where that completes it."""
        arriving = self.arriving[conn]
        if not arriving.is_whole():
            try:
                data = conn.sock.recv(_BLOCK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._drop(conn)
                return
            arriving.received += data
        whole = arriving.is_whole()
        if arriving.asks:
            arriving.asks = False
            with contextlib.suppress(OSError):
                conn.sock.send(_CONTINUE)
        if arriving.is_too_large():
            self._refuse(conn, b"431 Request Header Fields Too Large")
        elif whole:
            self._release(conn)
            try:
                self._hand_over(conn, arriving)
            except OSError:  # its client is gone; the loop must not end by it
                self._close(conn)

    def _hand_over(self, conn: Any, arriving: _Arriving) -> None:
        # Timeouts of the system: gunicorn takes Python's away.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            conn.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _STANDSTILL, 0))
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ANSWER)
        conn.init()
        conn.parser.unreader.unread(bytes(arriving.received))
        conn.data_ready = True
        address = str(conn.client[:1]).encode()
        if not arriving.long and _unsent(conn.sock):  # asked again before the answers before were taken
            arriving.long, arriving.who = "out", address
        if arriving.long:
            turn = (arriving.long, arriving.who or address)
            self.waiting[turn].append(conn)
            self._take_turns(turn)
        else:
            done = self.tpool.submit(self.handle, conn)
            done.add_done_callback(lambda future: self.method_queue.defer(self.finish_request, conn, future))

    def _take_turns(self, turn: _Turn) -> None:
        """Begin what somebody has waiting, as far as their share goes."""
        while self.waiting[turn] and self.running[turn] < _OF_ONE[turn[0]]:
            conn = self.waiting[turn].popleft()
            self.running[turn] += 1
            done = self.pools[turn[0]].submit(self._handle_long, turn[0], conn)
            done.add_done_callback(partial(self.method_queue.defer, self._long_is_done, turn, conn))
        if not self.waiting[turn]:
            del self.waiting[turn]

    def _long_is_done(self, turn: _Turn, conn: Any, future: Any) -> None:
        self.running[turn] -= 1
        if not self.running[turn]:
            del self.running[turn]
        self._take_turns(turn)
        self.finish_request(conn, future)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """What nobody has read of a body, as the request was refused, is waited for for a moment alone."""
        return bool(keepalive and conn.parser.finish_body(deadline=time.monotonic() + _UNREAD))

    def _handle_long(self, way: str, conn: Any) -> Any:
        with database_turn(self.turns[way]):
            try:
                return self.handle(conn)
            finally:
                connections.close_all()  # there are many such threads, and the database has few connections

    def _close_in_peace(self, close: Callable[..., None], address: Any, graceful: bool = False) -> None:
        """Wait for the client to close as well, but not in the loop."""
        self.of_address -= Counter([address])  # none are kept that have no more
        if graceful and self.closers._work_queue.qsize() < _CLOSING:
            self.closers.submit(close, graceful=True)
        else:
            close()

    def murder_pending(self) -> None:
        """Give up requests that do not arrive; called once a second."""
        super().murder_pending()
        for conn, arriving in list(self.arriving.items()):
            if arriving.is_late() or not (self.alive or arriving.received):
                self._refuse(conn, b"408 Request Timeout" if arriving.received else b"")

    def _refuse(self, conn: Any, status: bytes) -> None:
        if status:
            with contextlib.suppress(OSError):
                conn.sock.send(_REFUSED % status)
        self._drop(conn)

    def _release(self, conn: Any) -> None:
        del self.arriving[conn]
        self.poller.unregister(conn.sock)

    def _drop(self, conn: Any) -> None:
        self._release(conn)
        self._close(conn)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()
