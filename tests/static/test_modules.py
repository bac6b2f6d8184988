"""The pure modules of the pages, by Node's own test runner."""

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
