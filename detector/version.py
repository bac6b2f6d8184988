"""The version of this code, as stamped on every run."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def code_version() -> str:
    """Version of the newest CHANGELOG entry, with the commit behind a plus sign where the code is a git checkout."""
    changelog = _ROOT / "CHANGELOG.md"
    found = re.search(r"^## v?(\d\S*)", changelog.read_text("utf-8"), re.MULTILINE) if changelog.exists() else None
    version = found.group(1) if found else "unknown"
    if not (_ROOT / ".git").exists():
        return version
    try:
        git = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],  # noqa: S607  git is where the machine has it
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return version
    return f"{version}+{git.stdout.strip()}" if git.returncode == 0 else version
