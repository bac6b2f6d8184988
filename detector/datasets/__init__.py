"""Labelled data sets, each read into the same `Case` and `LabelledFrame` (section 4, Dataset)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from detector.datasets import ami_br, atnorm, look_alikes, midog, mitos12, mitos_atypia14, qupath, slide_runner, tupac16
from detector.errors import DataSetError
from detector.frames import Case, LabelledFrame, cases_of, frames_by_source


class _Reader(Protocol):
    LAYOUT: str

    def recognises(self, folder: Path) -> bool: ...

    def read(self, folder: Path) -> list[LabelledFrame]: ...


_READERS: tuple[_Reader, ...] = (
    mitos_atypia14,  # before MITOS 2012, whose frames have names like its own
    mitos12,
    ami_br,
    tupac16,
    midog,
    slide_runner,
    qupath,
    atnorm,
    look_alikes,
)


# Readers that also look into folders below, and which: those are no sets of their own.
_OWN_FOLDERS: dict[_Reader, Callable[[Path], Sequence[Path]]] = {
    mitos_atypia14: mitos_atypia14.own_folders,
    qupath: qupath.own_folders,
    atnorm: atnorm.own_folders,
    look_alikes: look_alikes.own_folders,
}


def read_dataset(folder: Path) -> list[Case]:
    """The cases of the data set in `folder`, and of those in the folders directly below it.

    Nothing that can be read is left out: a set in a folder below is read besides one in the folder itself, unless that
    folder is a part of it. Raises DataSetError where there is no known data set, or where a file of it is broken.
    """
    if not folder.is_dir():
        raise DataSetError(f"{folder} is not a folder; give the folder of a labelled data set")
    own = _reader_of(folder)
    parts = {"": own.read(folder)} if own is not None else {}
    read = set(_OWN_FOLDERS[own](folder)) if own in _OWN_FOLDERS else set()
    for below in sorted(path for path in folder.iterdir() if path.is_dir() and path not in read):
        reader = _reader_of(below)
        if reader is not None and not folder.resolve().is_relative_to(below.resolve()):  # no link back
            parts[below.name] = reader.read(below)
    frames = _disambiguated(parts)
    if not frames:
        known = "; ".join(reader.LAYOUT for reader in _READERS)
        raise DataSetError(f"{folder} holds no data set that can be read. Known: {known}")
    return cases_of(frames)


def _disambiguated(parts: dict[str, list[LabelledFrame]]) -> list[LabelledFrame]:
    """The frames of several data sets; equal case names of two of them get the folder as a prefix."""
    counts = Counter(name for frames in parts.values() for name in {frame.case for frame in frames})
    return [
        replace(frame, case=f"{folder}/{frame.case}") if folder and counts[frame.case] > 1 else frame
        for folder, frames in parts.items()
        for frame in frames
    ]


def left_out(folder: Path) -> list[str]:
    """Names of the folders directly below that `read_dataset` leaves out, as nothing in them has a known layout.

    None where the folder is a set itself: those below are its parts.
    """
    if _reader_of(folder) is not None:
        return []
    return [path.name for path in sorted(folder.iterdir()) if path.is_dir() and _reader_of(path) is None]


def describe_folder(folder: Path, cases: Sequence[Case]) -> list[str]:
    """What was read from a folder, by source, and what was left out, in lines of text."""
    unread = left_out(folder)
    return [*describe_sources(cases), *([f"left out, no known layout: {', '.join(unread)}"] if unread else [])]


def describe_sources(cases: Sequence[Case]) -> list[str]:
    """One line of text for each source: numbers of frames, patches, cases, mitoses, look-alikes."""
    lines = []
    for source, frames in frames_by_source(cases).items():
        whole = sum(frame.exhaustive for frame in frames)
        counts = {
            "frames": whole,
            "patches": len(frames) - whole,
            "cases": len({frame.case for frame in frames}),
            "mitoses": sum(frame.mitosis_count for frame in frames),
            "look-alikes": sum(len(frame.non_mitoses) for frame in frames),
        }
        never = ("frames", "patches", "look-alikes")
        parts = [f"{n:,} {what if n != 1 else _ONE[what]}" for what, n in counts.items() if n or what not in never]
        lines.append(f"{source}: {', '.join(parts)}")
    return lines


_ONE = {"frames": "frame", "patches": "patch", "cases": "case", "mitoses": "mitosis", "look-alikes": "look-alike"}


def _reader_of(folder: Path) -> _Reader | None:
    return next((reader for reader in _READERS if reader.recognises(folder)), None)
