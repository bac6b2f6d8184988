"""What the processes of web and workers may still do: write below the data folder, read that, the program and the
system, start nothing, or Python alone.

They open slides and labelled sets. What nobody has looked at yet is read in a process of its own, which may far less:
`detector.slide.confine`.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import connection

from detector.slide.confine import confine_server
from detector.version import code_version

_LOADERS = ("/lib64", "/lib")  # of programs: ld-linux-*.so
# People's files and what is mounted, which no library is in.
_HIDDEN = {"home", "root", "mnt", "media", "srv", "var", "boot", "lost+found"}
_OF_HOME = (".pgpass", ".pg_service.conf", ".postgresql", ".aws")  # where clients of databases and buckets look
# Variables of the environment that name such files.
_NAMING = ("_FILE", "_BUNDLE", "PASSFILE", "SSL_CERT_DIR", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY")
_CERTIFICATES = Path("/var/lib/ca-certificates")
_log = logging.getLogger(__name__)


class _State:
    confined: bool | None = None
    free_threads = 0


def confine_process(*, starts_python: bool = False) -> bool:
    """Confine this process, and the threads that it makes from now on, where the kernel can; the log says where not.

    starts_python: it starts Python in other processes, which are confined with it.
    """
    code_version()  # asks git, which cannot be started afterwards
    folders = [Path(settings.DATA_DIR), Path(tempfile.gettempdir())]
    if connection.vendor == "sqlite":
        folders.append(Path(str(connection.settings_dict["NAME"])).resolve().parent)
    programs = [Path(sys.executable).resolve()] if starts_python else []
    programs += [loader.resolve() for place in _LOADERS for loader in Path(place).glob("ld-linux*")] if programs else []
    _State.confined = confine_server(writes=folders, reads=_readable(), programs=programs)
    if not _State.confined:
        _log.warning("this kernel has no Landlock (Linux 5.19 and later have what is needed): process not confined")
    elif free := _free_threads():
        _State.free_threads = free
        _log.warning("%d threads were there before this process was confined, and are not", free)
    return _State.confined


def is_readable(path: Path) -> bool:
    """Whether web and workers may read there."""
    own = [*_readable(), Path(settings.DATA_DIR), Path(tempfile.gettempdir())]
    return any(path.resolve().is_relative_to(one) for one in own)


def _readable() -> list[Path]:
    """The system without `_HIDDEN`; of these what is ours: the program, weights, a watched folder, keys of clients."""
    system = [path for path in Path("/").iterdir() if path.name not in _HIDDEN]
    program = [
        Path(settings.BASE_DIR),
        Path(sys.prefix),
        Path(sys.base_prefix),
        *(Path(path) for path in sys.path if path),
    ]
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  says "~" where there is none, and does not raise
    ours = [Path(settings.MODEL_DIR), _CERTIFICATES, *(home / name for name in _OF_HOME)]
    if settings.OIDC_GROUPS:
        ours.append(Path(settings.OIDC_GROUPS))
    if settings.WATCH_FOLDER and not settings.WATCH_FOLDER.startswith("s3://"):
        ours.append(Path(settings.WATCH_FOLDER))
    named = [Path(value) for name, value in os.environ.items() if value and name.endswith(_NAMING)]
    # os.path: where a path may not be looked at, or is none at all, Path raises.
    return [path.resolve() for path in (*system, *program, *ours, *named) if os.path.exists(path)]  # noqa: PTH110


def _free_threads() -> int:
    """Threads of this process that are older than its confinement."""
    said = [path.read_text("ascii", "replace") for path in Path("/proc/self/task").glob("*/status")]
    return sum("NoNewPrivs:\t0" in status for status in said)


def is_confined() -> bool | None:
    """Whether this process is confined; None where nobody has asked for it."""
    return _State.confined


def threads_not_confined() -> int:
    """Threads of this process that are not, though it is."""
    return _State.free_threads
