"""The repository: settings, images and documents agree with the code, files and functions are short, reruns bounded."""

from __future__ import annotations

import ast
import json
import os
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from webapp.celery_app import QUEUES

ROOT = Path(__file__).resolve().parent.parent
FLAKY = """
from pathlib import Path
import pytest

@pytest.mark.flaky(reruns=2)
@pytest.mark.parametrize("number", range({count}))
def test_passes_when_tried_again(number):
    tried = Path(__file__).with_name(f"tried-{{number}}")
    before = tried.exists()
    tried.touch()
    assert before
"""


def test_every_setting_is_in_the_example_and_the_other_way_round():
    sources = [ROOT / "webapp/settings.py", ROOT / "webapp/ops/launcher.py", *(ROOT / "worker").glob("*.py")]
    used = set(re.findall(r"environment\.\w+\(\s*\"(\w+)\"", "".join(path.read_text() for path in sources)))
    # Read before webapp.core.environment can be imported.
    used |= set(re.findall(r"os\.environ\.get\(\"(TORCH_\w+)\"", (ROOT / "webapp/ops/bootstrap.py").read_text()))
    listed = set(re.findall(r"^# ([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used == listed


def test_versions_are_pinned_to_the_last():
    pinned = set(re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    wanted = set()
    for name in ("requirements.txt", "webapp/requirements.txt", "detector/requirements.txt", "tests/requirements.txt"):
        wanted |= set(re.findall(r"^([A-Za-z0-9_.-]+)", (ROOT / name).read_text(), re.MULTILINE)) - {"-r", "-c"}
    normal = {name.lower().replace("_", "-") for name in pinned}
    assert not {name.lower().replace("_", "-") for name in wanted if not name.startswith("-")} - normal
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text()


def test_lock_files_name_no_registry():
    assert "resolved" not in (ROOT / "package-lock.json").read_text()
    for lock in ROOT.glob("*/requirements.lock"):
        assert "://" not in lock.read_text(), lock


def test_images_install_the_pinned_versions_by_hash():
    """`make lock` writes the files anew."""
    pinned = versions("constraints.txt")
    for room, besides in (("webapp", set()), ("detector", {"torch"})):
        locked = versions(f"{room}/requirements.lock")
        wanted = re.findall(r"^([a-z0-9_.-]+)", (ROOT / room / "requirements.txt").read_text(), re.MULTILINE | re.I)
        assert {name.lower() for name in wanted if not name.startswith("-")} - besides <= locked.keys()
        unpinned_here = {"async-timeout", "tzdata", "pywin32", "colorama"}  # of other systems and Pythons
        assert {k: v for k, v in locked.items() if k not in unpinned_here}.items() <= pinned.items()
    text = (ROOT / "Dockerfile").read_text()
    assert all("--require-hashes" in line for line in text.splitlines() if re.search(r"\bpip install .*-r ", line))


def versions(path: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^ \n]+)", (ROOT / path).read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_compose_is_complete_as_far_as_it_can_be_read():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]
    assert set(services) == {
        "proxy", "web", "reaper", "ingest", "worker", "trainer", "gpu-worker", "gpu-trainer", "postgres", "redis", "s3",
        "bucket", "backup", "import",
    }  # fmt: skip
    of_profile = {
        profile: {n for n, s in services.items() if profile in s.get("profiles", [])}
        for profile in ("gpu", "s3", "watch")
    }
    assert of_profile == {"gpu": {"gpu-worker", "gpu-trainer"}, "s3": {"s3", "bucket"}, "watch": {"import"}}
    settings = set(re.findall(r"^# ([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    volumes = set(compose["volumes"])
    for name, service in services.items():
        assert "build" in service or re.fullmatch(r"\S+:[\w.-]+", service["image"]), f"{name} is not pinned"
        assert set(service.get("depends_on", {})) <= set(services)
        if "build" in service:
            assert set(service["environment"]) <= settings, f"{name} is given a setting that nobody reads"
        for mount in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", mount).split(":")[0]
            if source in {"./backups", "./watched"}:
                continue  # made by the first use
            assert source in volumes or (ROOT / source).exists(), f"{name} mounts {source}, which is not there"
        if "celery" in service.get("command", []):
            assert set(service["command"][service["command"].index("-Q") + 1].split(",")) <= set(QUEUES)
    assert f"http://web:{services['web']['expose'][0]}" in (ROOT / "docs/nginx.conf").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    for service in services.values():
        if "build" in service:
            assert service["build"]["target"] in stages
    queues = " ".join(" ".join(service.get("command", [])) for service in services.values())
    for queue in ("ingest", "detect", "mine", "train"):
        assert queue in queues


def test_the_web_image_has_no_torch():
    assert "torch" not in re.sub(r"#.*", "", (ROOT / "webapp/requirements.txt").read_text())
    code = "import sys, django; django.setup(); import webapp.urls; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**_environment()})
    assert done.returncode == 0


def _environment() -> dict[str, str]:
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings"}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DEBUG": "yes"}, "use True or False"),
        ({"PORT": "abc"}, "whole number"),
        ({"LEASE_SECONDS": "0"}, "from 5"),
        ({"SCRIPT_NAME": "/mitoscope"}, "no path prefix; give it a host name of its own"),
    ],
)
def test_a_wrong_setting_stops_the_program_with_a_sentence(variables, words):
    command = [sys.executable, "-m", "webapp.ops.launcher" if "PORT" in variables else "django", "check"]
    done = subprocess.run(command, cwd=ROOT, env={**_environment(), **variables}, capture_output=True, text=True)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_imports_run_one_way():
    done = subprocess.run([ROOT / ".venv/bin/lint-imports"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_version_is_that_of_the_changelog():
    from detector.version import code_version

    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert code_version().startswith(newest.group(1))


def test_plans_are_valid():
    from detector.training.plan import read_plan

    for path in (ROOT / "detector/plans").glob("*.toml"):
        tomllib.loads(path.read_text())
        assert read_plan(path.stem).iterations > 0


def test_the_shipped_weights_are_what_their_card_says_and_not_random():
    from detector.model.card import training_cases
    from detector.model.checkpoint import SHIPPED_WEIGHTS, load_weights

    network, card = load_weights(SHIPPED_WEIGHTS)
    assert card["iterations"] > 1000
    assert card["metrics"]["mitoses"] > 0
    assert card["metrics"]["f1_at_0.5"] > 0.5
    held_out = {name for part in card["held_out"] for name in part["case_names"]}
    # Of the course that measured them: the weights have then learnt from all cases.
    assert held_out <= training_cases(card) and not held_out & training_cases(card["measured_by"])
    for metrics in card["metrics_by_source"].values():
        assert metrics["f1_at_0.5"] > 0.9 * metrics["max_f1"], "0.5 serves each laboratory"
    assert sum(parameter.numel() for parameter in network.parameters()) > 500_000


def test_no_worker_takes_both_detections_and_trainings():
    """A training takes hours: a worker that took both would let a reader wait for them."""
    from webapp.ops.launcher import _configuration

    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    commands = [" ".join(service.get("command", [])) for service in compose]
    launched = _configuration("127.0.0.1", 8000, Path("/data"), Path("/data/redis.sock"), None)
    commands += re.findall(r"^command=(.*)$", launched, re.MULTILINE)
    commands += [
        " ".join(json.loads(found))
        for found in re.findall(r"^CMD (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    ]
    found = {command: re.search(r"-Q (\S+)", command) for command in commands}
    taken = {command: set(match.group(1).split(",")) for command, match in found.items() if match}
    slow = {"mine", "train", "judge", "calibrate"}
    assert all(queues == slow or not queues & slow for queues in taken.values())
    trainers = [command for command, queues in taken.items() if queues == slow]
    assert len(trainers) >= 2, "of `make run`, and of the compose file"
    assert all(command.startswith("nice ") for command in trainers)


def test_files_and_functions_are_short():
    """Python: 400 lines a file, 60 a function, nine of ten functions under 25. JavaScript: 80 a function."""
    too_long, lengths = [], []
    for path in _ours("py"):
        lines = path.read_text("utf-8").count("\n")
        functions = list(_python_functions(path))
        lengths += [length for _, length in functions]
        too_long += [f"{path.relative_to(ROOT)}: {lines} lines"] if lines > 400 else []
        too_long += [f"{path.relative_to(ROOT)}:{at}: {length} lines" for at, length in functions if length > 60]
    for path in [*_ours("js"), *_ours("mjs")]:
        functions = _javascript_functions(path)
        too_long += [f"{path.relative_to(ROOT)}:{at}: {length} lines" for at, length in functions if length > 80]
    assert not too_long, "\n".join(too_long)
    assert len(lengths) > 1000
    assert statistics.quantiles(lengths, n=10)[-1] < 25


def _ours(suffix: str) -> Iterator[Path]:
    """Files with this suffix, without those that Django writes."""
    for folder in ("detector", "webapp", "worker", "static", "tests"):
        yield from (path for path in (ROOT / folder).rglob(f"*.{suffix}") if "migrations" not in path.parts)


def _python_functions(path: Path) -> Iterator[tuple[int, int]]:
    """(first line, number of lines) of each."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.end_lineno - node.lineno + 1


def _javascript_functions(path: Path) -> Iterator[tuple[int, int]]:
    """The same; a function is a block that is opened after parameters and closed at the same indentation."""
    lines = path.read_text("utf-8").splitlines()
    for first, line in enumerate(lines):
        opened = re.match(r"( *)(?! |if\b|for\b|while\b|switch\b|\}).*(?:\)|=>) \{$", line)
        if opened:
            last = next(at for at in range(first + 1, len(lines)) if lines[at].startswith(opened[1] + "}"))
            yield first + 1, last - first + 1


@pytest.mark.parametrize(("flaky", "processes", "code"), [(3, 0, 0), (4, 0, 1), (3, 2, 0), (4, 2, 1)])
def test_a_run_that_needs_more_than_three_reruns_fails(tmp_path, flaky, processes, code):
    (tmp_path / "test_flaky.py").write_text(FLAKY.format(count=flaky))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    options = [option for option in settings["addopts"].split() if "reruns" in option]
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "pytest_rerunfailures", f"-n{processes}", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    assert "3 passed, 3 rerun in" in done.stdout


def test_only_tests_that_drive_a_browser_and_nothing_else_are_rerun():
    """Not uploads, backups, kills and `make run`: what fails there now and then may be a race of ours."""
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    rerun = {path.name for path in tests if re.search(r"\bflaky\b|reruns", path.read_text("utf-8"))}
    names = ("beside", "blinded_readings", "faults", "pages", "reading", "review", "screening", "viewer")
    assert rerun == {f"test_{name}.py" for name in names}
    assert not re.search(
        r"--reruns|--force-reruns", (ROOT / "pyproject.toml").read_text() + (ROOT / "Makefile").read_text()
    )
