"""Known faults of the packages that are pinned, where an index of them answers: `make security`.

pip-audit over constraints.txt, npm audit over package-lock.json. 1 where one has a fault that is known.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Ask both; say what was found, or that nobody answers."""
    return max(_python(), _node())


def _python() -> int:
    uv = Path(sys.executable).with_name("uv")
    command = ["tool", "run", "pip-audit", "--no-deps", "--disable-pip", "--format", "json", "-r", "constraints.txt"]
    done = subprocess.run([uv, *command], cwd=ROOT, capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return _nobody("pip-audit", done.stderr)
    faults = [
        f"{one['name']} {one['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}"
        for one in packages
        for fault in one.get("vulns", [])
    ]
    return _said("Python", faults, len(packages))


def _node() -> int:
    npm = shutil.which("npm") or str(Path(sys.executable).with_name("npm"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [npm, "audit", "--omit=dev", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
    )
    try:
        said = json.loads(done.stdout)
        faults = [f"{name}: {one['severity']}" for name, one in said["vulnerabilities"].items()]
    except (ValueError, KeyError):
        return _nobody("npm audit", done.stdout + done.stderr)
    return _said("npm", faults, said["metadata"]["dependencies"]["prod"])


def _said(what: str, faults: list[str], count: int) -> int:
    print(f"{what}: {count} packages, {len(faults)} known faults", *faults, sep="\n  ")
    return int(bool(faults))


def _nobody(what: str, output: str) -> int:
    last = (output.strip().splitlines() or ["nothing was said"])[-1]
    print(f"{what}: no index of faults answers here ({last[:200]})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
