"""What the processes of web and workers may still do: write below the data folder, start nothing, or Python alone.

They open slides and labelled sets. What is prepared is read in a process of its own, which may far less:
`detector.slide.confine`.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import connection

from detector.slide.confine import confine_writes
from detector.version import code_version

_LOADERS = ("/lib64", "/lib")  # of programs: ld-linux-*.so
_log = logging.getLogger(__name__)


class _State:
    confined: bool | None = None


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
    _State.confined = confine_writes(folders, programs=programs)
    if not _State.confined:
        _log.warning("this kernel has no Landlock (Linux 5.19 and later have what is needed): process not confined")
    elif free := _free_threads():
        _log.warning("%d threads were there before this process was confined, and are not", free)
    return _State.confined


def _free_threads() -> int:
    """Threads of this process that are older than its confinement."""
    said = [path.read_text("ascii", "replace") for path in Path("/proc/self/task").glob("*/status")]
    return sum("NoNewPrivs:\t0" in status for status in said)


def is_confined() -> bool | None:
    """Whether this process is confined; None where nobody has asked for it."""
    return _State.confined
