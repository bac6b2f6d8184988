"""A process that prepares an upload reads libraries and its own folder, and nothing else."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TRY = """
import ctypes, json, os, socket, subprocess, sys
from pathlib import Path
import openslide
from detector.slide.confine import confine, limit

folder, secret, listening = sys.argv[1:4]
limit(memory_bytes=4 << 30, seconds=60)
confined = confine(Path(folder))

def tgkill(pid):
    number = {"x86_64": 234, "aarch64": 131}[os.uname().machine]
    if ctypes.CDLL(None, use_errno=True).syscall(number, pid, pid, 0):
        raise OSError(ctypes.get_errno(), "tgkill")

def outcome(act):
    try:
        act()
        return "done"
    except OSError as error:
        return type(error).__name__
    except MemoryError:
        return "MemoryError"

import imagecodecs, cv2  # libraries that are first needed later on
print(json.dumps({
    "confined": confined,
    "read secret": outcome(lambda: Path(secret).read_text()),
    "write beside": outcome(lambda: Path(secret).write_text("changed")),
    "read passwords": outcome(lambda: Path("/etc/passwd").read_text()),
    "read the parent's environment": outcome(lambda: Path("/proc/1/environ").read_bytes()),
    "write inside": outcome(lambda: (Path(folder) / "made" ).write_text("x")),
    "move inside": outcome(lambda: (Path(folder) / "made" ).replace(Path(folder) / "moved")),
    "start a program": outcome(lambda: subprocess.run(["/usr/bin/env"])),
    "connect": outcome(lambda: socket.create_connection(("127.0.0.1", int(listening)), 2)),
    "connect to a socket of the machine": outcome(lambda: socket.socket(socket.AF_UNIX)),
    "send a datagram": outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "signal its parent": outcome(lambda: os.kill(os.getppid(), 0)),
    "signal a thread of its parent": outcome(lambda: tgkill(os.getppid())),
    "take memory": outcome(lambda: bytearray(5 << 30)),
}))
"""


def test_what_a_taken_over_decoder_can_do(tmp_path):
    (tmp_path / "slide").mkdir()
    (tmp_path / "secret").write_text("key")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        arguments = [tmp_path / "slide", tmp_path / "secret", listening.getsockname()[1]]
        command = [sys.executable, "-c", TRY, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    could = json.loads(done.stdout.splitlines()[-1])
    assert could.pop("take memory") == "MemoryError"
    assert could.pop("write inside") == could.pop("move inside") == "done"
    if not could.pop("confined"):
        pytest.skip("this kernel has no Landlock: files are not confined here")
    assert set(could.values()) == {"PermissionError"}, could
    assert (tmp_path / "secret").read_text() == "key"


WEB = """
import json, os, subprocess, sys, tempfile
from pathlib import Path
from detector.slide.confine import confine_server
data, elsewhere = map(Path, sys.argv[1:3])
(elsewhere / "before").write_text("x")
python = [Path(sys.executable).resolve(), *(one.resolve() for one in Path("/lib64").glob("ld-linux*"))]
reads = [Path(one) for one in ("/usr", "/lib", "/lib64", "/etc", "/proc", sys.prefix, sys.base_prefix)]
confined = confine_server(writes=[data], reads=reads, programs=python if sys.argv[3:] else [])
could = {"confined": confined}
def tried(name, act):
    try:
        act()
        could[name] = True
    except OSError:
        could[name] = False
tried("write in the data", lambda: (data / "a").write_text("x"))
tried("link in the data", lambda: os.link(data / "a", data / "b"))
tried("write elsewhere", lambda: (elsewhere / "a").write_text("x"))
tried("change elsewhere", lambda: (elsewhere / "before").write_text("y"))
tried("delete elsewhere", lambda: (elsewhere / "before").unlink())
tried("read elsewhere", lambda: (elsewhere / "before").read_text())
tried("start a program", lambda: subprocess.run(["/bin/true"], check=True))
tried("start Python", lambda: subprocess.run([sys.executable, "-c", ""], check=True))
tried("write to nothing", lambda: Path("/dev/null").write_text("x"))
print(json.dumps(could))
"""


@pytest.mark.parametrize("starts_python", [False, True])
def test_a_confined_server_writes_to_its_data_alone_and_starts_nothing(tmp_path, starts_python):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WEB, str(data), str(elsewhere), *["python"] * starts_python],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    could = json.loads(done.stdout)
    if not could.pop("confined"):
        pytest.skip("this kernel has no Landlock: files are not confined here")
    refused = {"write elsewhere", "change elsewhere", "delete elsewhere", "read elsewhere", "start a program"}
    refused |= set() if starts_python else {"start Python"}
    assert {name for name, done in could.items() if not done} == refused
