"""The version of this code, as stamped on every run."""

from __future__ import annotations

import functools
import hashlib
import re
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def code_version() -> str:
    """Version of the newest CHANGELOG entry; behind a plus sign the commit where the code is a git checkout, else the
    beginning of a hash of the code, so that two builds of one version are told apart."""
    changelog = _ROOT / "CHANGELOG.md"
    found = re.search(r"^## v?(\d\S*)", changelog.read_text("utf-8"), re.MULTILINE) if changelog.exists() else None
    version = found.group(1) if found else "unknown"
    if not (_ROOT / ".git").exists():
        return f"{version}+{_hash()}"
    try:
        git = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],  # noqa: S607  git is where the machine has it
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return f"{version}+{_hash()}"
    return f"{version}+{git.stdout.strip() if git.returncode == 0 else _hash()}"


def _hash() -> str:
    """Of the Python code that web and workers share."""
    code = hashlib.sha256()
    for path in sorted(path for part in ("detector", "worker", "webapp") for path in (_ROOT / part).rglob("*.py")):
        code.update(f"{path.relative_to(_ROOT)}\0".encode() + path.read_bytes())
    return f"code.{code.hexdigest()[:10]}"
