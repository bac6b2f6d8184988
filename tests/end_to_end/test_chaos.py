"""Short forms of what `make chaos` and `python -m tests.resilience.two_hosts` do at length."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.resilience.two_hosts import NOT_ALLOWED

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests in a process of its own, with settings of its own."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=540
    )


def test_each_part_is_killed_once_and_nothing_is_lost_doubled_or_different():
    done = run(
        "tests.resilience.chaos", "--kills", "4", "--slides", "2", "--side", "1200", "--seed", "3", "--pause", "2"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "worker 1" in done.stdout
    assert "postgres 1" in done.stdout
    assert " 0 verdicts" not in done.stdout


def test_a_job_finishes_though_the_network_of_one_of_two_hosts_is_cut():
    done = run("tests.resilience.two_hosts")
    if done.returncode == NOT_ALLOWED:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-3000:]
    assert "cut off in the middle" in done.stdout
