"""The files below a folder, also behind symbolic links, as slides and sets often lie on another disk; their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
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


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_all(files: Iterable[tuple[str, Path]]) -> str:
    """The same over names and contents of files, in the order in which they come."""
    total = hashlib.sha256()
    for name, path in files:
        total.update(f"{name}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()
