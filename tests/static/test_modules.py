"""The pure modules of the pages by Node's own test runner, and how long modules may be."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_modules_of_the_pages():
    node = shutil.which("node") or ROOT / ".venv/bin/node"  # webapp/ops/bootstrap.py installs one where there is none
    files = sorted(Path(__file__).parent.glob("*.test.mjs"))
    done = subprocess.run([node, "--test", *files], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "# pass 0" not in done.stdout


def test_modules_and_functions_are_short():
    modules = {path: path.read_text().splitlines() for path in (ROOT / "static").rglob("*.js")}
    assert len(modules) > 30
    for path, lines in modules.items():
        assert len(lines) <= 400, path
        for start, line in enumerate(lines):
            if not line.endswith("{") or "class " in line:
                continue
            end = " " * (len(line) - len(line.lstrip())) + "}"  # prettier closes a block where it began
            length = next(i for i, later in enumerate(lines[start:], 1) if later.startswith(end))
            assert length <= 80, f"{path}:{start + 1}"
