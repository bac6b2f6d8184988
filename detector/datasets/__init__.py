"""Labelled data sets, each read into the same `Case` and `Hpf` (section 4, Dataset)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from detector.datasets import ami_br, midog, mitos12, mitos_atypia14, qupath, slide_runner, tupac16
from detector.errors import DataSetError
from detector.frames import Case, Hpf, cases_of


class _Reader(Protocol):
    LAYOUT: str

    def recognises(self, folder: Path) -> bool: ...

    def read(self, folder: Path) -> list[Hpf]: ...


_READERS: tuple[_Reader, ...] = (mitos12, ami_br, tupac16, mitos_atypia14, midog, slide_runner, qupath)


def read_dataset(folder: Path) -> list[Case]:
    """The cases of a data set, or of all data sets in the folders directly below `folder`.

    Raises DataSetError where there is no known data set, or where a file of it is broken.
    """
    if not folder.is_dir():
        raise DataSetError(f"{folder} is not a folder; give the folder of a labelled data set")
    hpfs = _read_one(folder)
    if hpfs is None:
        parts = {below.name: _read_one(below) or [] for below in sorted(folder.iterdir()) if below.is_dir()}
        hpfs = _told_apart(parts)
    if not hpfs:
        known = "; ".join(reader.LAYOUT for reader in _READERS)
        raise DataSetError(f"{folder} holds no data set that can be read. Known: {known}")
    return cases_of(hpfs)


def _told_apart(parts: dict[str, list[Hpf]]) -> list[Hpf]:
    """The frames of several data sets; cases that two of them call alike get the folder before their name."""
    counts = Counter(name for hpfs in parts.values() for name in {hpf.case for hpf in hpfs})
    return [
        replace(hpf, case=f"{folder}/{hpf.case}") if counts[hpf.case] > 1 else hpf
        for folder, hpfs in parts.items()
        for hpf in hpfs
    ]


def _read_one(folder: Path) -> list[Hpf] | None:
    for reader in _READERS:
        if reader.recognises(folder):
            return reader.read(folder)
    return None
