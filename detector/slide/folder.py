"""The files below a folder, behind symbolic links too: slides and data sets often lie on another disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path, _above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """All files below a folder, in the order of their names; `Path.rglob` does not follow links to folders.

    A link to a folder that it lies in itself is left out, and so is one that leads nowhere.
    """
    status = folder.stat()
    if (here := (status.st_dev, status.st_ino)) in _above:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from files_below(path, _above | {here})
        elif path.is_file():
            yield path
