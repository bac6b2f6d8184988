"""One `make run` for a data folder: the lock that it holds, and who keeps it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from webapp.ops.launcher import ROOT, _lock_folder, _write_holder

HOLD = """
import subprocess, sys
from pathlib import Path
from webapp.ops.launcher import _lock_folder
lock = _lock_folder(Path(sys.argv[1]), "http://127.0.0.1:8000")
child = subprocess.Popen(["sleep", "60"], pass_fds=[lock] if sys.argv[2] == "inherited" else [])
print(child.pid, flush=True)
child.wait()
"""


def refused(folder) -> bool:
    try:
        os.close(_lock_folder(folder, "http://127.0.0.1:8001"))
    except SystemExit:
        return True
    return False


def test_a_second_holder_is_refused_in_one_sentence_that_names_the_first(tmp_path):
    lock = _lock_folder(tmp_path, "http://127.0.0.1:8000")
    for pid in (os.getpid(), 7):
        _write_holder(lock, "http://127.0.0.1:8000", pid)
        with pytest.raises(SystemExit) as stopped:
            _lock_folder(tmp_path, "http://127.0.0.1:8001")
        assert f"{tmp_path} is in use by Mitoscope at http://127.0.0.1:8000 (process {pid});" in str(stopped.value)
        assert "\n" not in str(stopped.value)
    os.close(lock)
    assert not refused(tmp_path)


@pytest.mark.parametrize("how", ["alone", "inherited"])
def test_a_killed_holder_lets_go_unless_its_supervisor_still_lives(tmp_path, how):
    command = [sys.executable, "-c", HOLD, str(tmp_path), how]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        child = int(holder.stdout.readline())
        assert refused(tmp_path)
        holder.kill()
    try:
        assert refused(tmp_path) == (how == "inherited")
    finally:
        os.kill(child, 9)
