"""Unpacking of uploaded zips, safe against path traversal and decompression bombs."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from detector.errors import SlideError

MAX_FILES = 20_000
MAX_BYTES = 200 << 30
MAX_RATIO = 50  # images are compressed already; a zip that grows more than this is a bomb


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip into a folder. Raises SlideError for no zip, a path out of it, or one that grows too large."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            _check(zipped, archive.stat().st_size, archive.parent)
            for info in zipped.infolist():
                if info.is_dir():
                    continue
                target = folder / _path(info)
                target.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(info) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise SlideError(f"This zip cannot be unpacked: {error}.") from error


def _check(zipped: zipfile.ZipFile, archive_bytes: int, folder: Path) -> None:
    infos = zipped.infolist()
    total = sum(info.file_size for info in infos)
    if len(infos) > MAX_FILES:
        raise SlideError(f"This zip holds {len(infos)} files; at most {MAX_FILES} are unpacked.")
    if total > MAX_BYTES or total > MAX_RATIO * max(archive_bytes, 1):
        raise SlideError(f"This zip would grow from {archive_bytes} to {total} bytes; images do not.")
    if total > shutil.disk_usage(folder).free - (1 << 30):
        raise SlideError("There is not enough room on the server to unpack this zip.")
    for info in infos:
        path = _path(info)
        if path.is_absolute() or ".." in path.parts or ":" in info.filename or "\0" in info.filename:
            raise SlideError("This zip holds a file whose path leads out of it; it is not unpacked.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise SlideError("This zip holds a symbolic link; it is not unpacked.")


def _path(info: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(info.filename.replace("\\", "/"))
