"""What a web process may still do once it serves: write below the data folder and temporary files, start nothing."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import connection

from detector.slide.confine import confine_writes
from detector.version import code_version

_log = logging.getLogger(__name__)


class _State:
    confined: bool | None = None


def confine_web() -> None:
    """Confine this process, where the kernel can; where it cannot, the log and the page Health say so."""
    code_version()  # asks git, which cannot be started afterwards
    folders = [Path(settings.DATA_DIR), Path(tempfile.gettempdir())]
    if connection.vendor == "sqlite":
        folders.append(Path(str(connection.settings_dict["NAME"])).resolve().parent)
    _State.confined = confine_writes(folders)
    if not _State.confined:
        _log.warning("this kernel has no Landlock: the web's processes are not confined")


def confinement_remark() -> str:
    """A sentence where this process should be confined and is not; "" elsewhere."""
    if _State.confined is not False:
        return ""
    return (
        "This kernel has no Landlock (Linux 5.13 and later have), so the web's processes, which open slides, are not "
        "confined to their data folder."
    )
