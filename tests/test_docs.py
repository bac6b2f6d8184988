"""README and docs name files and functions that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Not docs/benchmarks: the diary keeps the names of its day.
PAGES = [ROOT / "README.md", ROOT / "detector/README.md", *sorted((ROOT / "docs").glob("*.md"))]
_PATH = re.compile(r"(?:detector|webapp|worker|static|templates|tests|docs)/[\w./*<>-]*[\w/]")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_named_exists(page):
    text = page.read_text("utf-8")
    quoted = {path for path in re.findall(r"`([^`\n]+)`", text) if _PATH.fullmatch(path)}
    missing = {path for path in quoted if not any(ROOT.glob(re.sub(r"<\w+>", "*", path)))}
    linked = {path for path in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in path}
    missing |= {path for path in linked if not (page.parent / path).exists()}
    assert not missing


def test_every_step_of_a_journey_names_a_function_of_its_file():
    """In docs/architecture.md a name in backticks behind a file is defined in that file."""
    steps, missing = 0, []
    for line in (ROOT / "docs/architecture.md").read_text("utf-8").splitlines():
        file = None
        for word in re.findall(r"`([^`]+)`", line) if line.startswith("|") else []:
            if _PATH.fullmatch(word):
                file = ROOT / word if word.endswith((".py", ".js")) else None
            elif file is not None and re.fullmatch(r"\w+(\.\w+)*", word):
                steps += 1
                missing += [f"{file.name} {name}" for name in word.split(".") if not _defines(file, name)]
    assert steps > 30
    assert not missing


@pytest.mark.parametrize("package", ["detector", "webapp"])
def test_the_rooms_are_the_layers_that_import_linter_checks(package):
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract.get("containers") == [package]]
    page = (ROOT / "docs/architecture.md").read_text("utf-8").split("\n## ")[1]
    rows = [re.findall(rf"`{package}/(\w+)", row.split(" | ")[0]) for row in page.splitlines() if row.startswith("| `")]
    assert [set(row) for row in rows if row] == [set(layer.split(" | ")) for layer in layers]


def _defines(file: Path, name: str) -> bool:
    # Of Python, a method of JavaScript, or a constant.
    definition = rf"^ *(?:async )?(?:(?:def|class) {name}\b|{name}\(.*{{$|{name}(?:: [^=]+)? = )"
    return re.search(definition, file.read_text("utf-8"), re.MULTILINE) is not None
