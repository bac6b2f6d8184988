"""What is installed by what: uv or pip, and which build of torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from webapp.ops import bootstrap


def done(returncode: int) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], returncode, "", "error: nobody answers")


@pytest.fixture
def uv(monkeypatch):
    """Calls of uv; what is in `fails` cannot be had."""
    calls: list[tuple[str, ...]] = []
    fails: set[str] = set()

    def called(*arguments: str, seconds: float | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        calls.append(arguments)
        return done(int(bool(fails & set(arguments))))

    monkeypatch.setattr(bootstrap, "_uv", called)
    called.calls, called.fails = calls, fails
    return called


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """Packages that pip was asked for, in an environment of this test's own."""
    calls: list[str] = []
    monkeypatch.setattr(bootstrap, "_pip", lambda *arguments: (calls.append(" ".join(arguments)), done(0))[1])
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    return calls


@pytest.mark.parametrize(
    ("build", "gpu", "had", "asked_for", "said"),
    [
        ("auto", False, True, ["--torch-backend=cpu"], ""),
        ("auto", False, False, [], "torch's CPU build cannot be had here"),
        ("auto", True, True, [], ""),
        ("cpu", True, True, ["--torch-backend=cpu"], ""),
        ("cu126", False, True, ["--torch-backend=cu126"], ""),
    ],
)
def test_without_a_gpu_torch_is_the_cpu_build_where_it_can_be_had(
    uv, monkeypatch, capsys, build, gpu, had, asked_for, said
):
    monkeypatch.setattr(bootstrap, "_has_gpu", lambda: gpu)
    monkeypatch.setattr(sys, "platform", "linux")
    uv.fails |= set() if had else {"--torch-backend=cpu"}
    assert bootstrap._torch_backend(build) == asked_for
    printed = capsys.readouterr().out
    assert printed.startswith(said) if said else not printed


def test_a_build_that_is_asked_for_by_name_and_cannot_be_had_stops(uv):
    uv.fails.add("--torch-backend=cu126")
    with pytest.raises(SystemExit, match="TORCH_BACKEND=cu126: this build of torch cannot be had here"):
        bootstrap._torch_backend("cu126")


def test_where_uv_cannot_install_pip_does_and_it_is_said(uv, pip, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "_torch_backend", lambda build: [])
    assert bootstrap._install_python("requirements.txt", "auto")
    assert pip == ["uv --retries 1"]
    assert uv.calls == [("-r", "requirements.txt")]
    uv.fails.add("tests/requirements.txt")
    bootstrap._install_python("tests/requirements.txt", "auto")
    assert pip[1:] == ["uv --retries 1", "torch", "-r tests/requirements.txt"]
    assert "uv cannot install here; pip does" in capsys.readouterr().out
    assert not bootstrap._install_python("tests/requirements.txt", "auto")
    assert len(pip) == 4, "what is installed is not installed again"


def test_pip_alone_gives_no_build_that_is_asked_for_by_name(uv, pip, monkeypatch):
    monkeypatch.setattr(bootstrap, "_torch_backend", lambda build: [f"--torch-backend={build}"])
    uv.fails.add("requirements.txt")
    with pytest.raises(SystemExit, match="TORCH_BACKEND=cpu needs uv"):
        bootstrap._install_python("requirements.txt", "cpu")
    assert not list(bootstrap.VENV.glob(".installed-*"))


def test_uv_looks_where_pip_does(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://mirror.test/simple\nextra-index-url = https://a.test https://b.test\n"
        "timeout = 5\n[install]\nfind-links = /one\n  /two\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://nearer.test/simple")
    monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
    settings = bootstrap._pip_settings()
    assert settings["UV_DEFAULT_INDEX"] == "https://nearer.test/simple", "a variable counts before the file"
    assert settings["UV_INDEX"] == "https://a.test https://b.test"
    assert settings["UV_FIND_LINKS"] == "/one,/two"
    assert set(settings) <= set(bootstrap._UV_NAMES.values())


def test_another_build_of_torch_makes_the_environment_anew_and_auto_keeps_it(monkeypatch, tmp_path):
    made: list[list[str]] = []

    def run(command, **options):
        if "venv" in command:
            made.append(command)
            tmp_path.joinpath("python").touch()
        return done(0)

    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / "python")
    for build, count in (("auto", 1), ("auto", 1), ("cpu", 2), ("cpu", 2), ("auto", 2), ("cu126", 3)):
        bootstrap._make_venv(build)
        assert len(made) == count, build
