"""What lies in a folder or below a prefix of a bucket: slides, each with all files that belong to it."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from django.conf import settings
from django.core.files.storage import storages

from detector.slide.folder import sha256_of, sha256_of_all
from webapp.core.errors import DomainError, InvalidInput
from webapp.intake.dicom_series import series_uid

TABLE = "slides.csv"  # beside the files: which study and case they are of
SINGLE = {".svs", ".svslide", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".zip", ".png", ".jpg", ".jpeg", ".bmp"}
_SERIES = {".dcm", ".vms"}  # a slide is all files of their folder
_WITH_FOLDER = ".mrxs"  # its other files are in a folder of its name
_ON_THEIR_WAY = (".part", ".partial", ".tmp", ".crdownload", ".filepart", ".copying")
_BLOCK = 1 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """A slide. name: the path of the file to open, in the place; identity: by which it is known again, also when more
    files of it come. size: bytes, of all files; stamp: of their change.

    files: (name beside the first one, path or key), the file to open first. known: whether it may be one at all.
    """

    name: str
    identity: str
    size: int
    stamp: str
    files: Sequence[tuple[str, str]] = field(default=())
    known: bool = True

    @property
    def shown(self) -> str:
        """Its name as text; a file name may hold bytes that are none."""
        return self.name.encode("utf-8", "replace").decode()[:1000]


class Place(Protocol):
    """Where slides come from."""

    address: str

    def items(self) -> Iterator[Item]:
        """All slides there are now, in the order of their names. Raises DomainError where it cannot be looked into."""
        ...

    def table(self) -> bytes:
        """The content of `TABLE`; empty where there is none."""
        ...

    def fetch(self, item: Item, target: Path) -> str:
        """Copy a slide, as a zip where it has several files; its SHA-256. Raises OSError or what boto3 raises."""
        ...

    def stands_still(self, item: Item) -> bool:
        """Whether it is as it was when it was found. Raises OSError."""
        ...


def place_of(address: str) -> Place:
    """A folder, or s3://BUCKET/PREFIX of the S3 server of the settings. Raises InvalidInput where it is neither."""
    if found := re.fullmatch(r"s3://([^/]+)(?:/(.*))?", address):
        return Bucket(found[1], found[2] or "")
    if not Path(address).is_dir():
        raise InvalidInput(f"{address} is no folder that can be read; give one, or s3://BUCKET/PREFIX.")
    folder, ours = Path(address).resolve(), Path(settings.DATA_DIR)
    if folder.is_relative_to(ours) or ours.is_relative_to(folder):
        raise InvalidInput(f"{address} and the data folder, {ours}, must lie apart: what is here already is no import.")
    return Folder(folder)


class Folder:
    """A folder with all below it; links to other folders are not followed."""

    def __init__(self, root: Path) -> None:
        self.root, self.address = root, str(root)

    def items(self) -> Iterator[Item]:
        if not self.root.is_dir():
            raise DomainError(f"{self.root} is not there, or cannot be read.")
        for folder, below, names in os.walk(self.root, onerror=_say):
            below[:] = sorted(name for name in below if not name.startswith("."))
            names = sorted(name for name in names if not name.startswith(".") and name != TABLE)
            names = [name for name in names if not name.lower().endswith(_ON_THEIR_WAY)]
            yield from self._slides(Path(folder), below, names)

    def table(self) -> bytes:
        path = self.root / TABLE
        return path.read_bytes() if path.exists() else b""

    def fetch(self, item: Item, target: Path) -> str:
        if len(item.files) == 1:
            return _copied(Path(item.files[0][1]), target)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as zipped:
            for name, path in item.files:
                zipped.write(path, name)
        return self.hashed(item)

    def hashed(self, item: Item) -> str:
        """SHA-256 of a slide as it lies there: of its file, or of names and contents of its files."""
        if len(item.files) == 1:
            return sha256_of(Path(item.files[0][1]))
        return sha256_of_all((name, Path(path)) for name, path in sorted(item.files))

    def stands_still(self, item: Item) -> bool:
        return (item.size, item.stamp) == _size_and_stamp([Path(path) for _, path in item.files])

    def _slides(self, folder: Path, below: list[str], names: list[str]) -> Iterator[Item]:
        """Those of one folder; takes folders that belong to one of them out of `below`."""
        series = [name for name in names if _suffix(name) in _SERIES]
        if series:
            files = [name for name in names if _suffix(series[0]) == ".vms" or _suffix(name) == ".dcm"]
            of_series: dict[str, list[Path]] = {}
            for path in (folder / name for name in [series[0], *(name for name in files if name != series[0])]):
                whole = _suffix(series[0]) == ".vms" or not path.exists()
                of_series.setdefault("" if whole else _series_of(path, path.stat().st_mtime_ns), []).append(path)
            for uid, paths in of_series.items():  # one of its own is known by its folder
                yield self._item(paths, identity=folder / uid if len(of_series) > 1 else folder)
            names = [name for name in names if name not in files]
        for name in names:
            path = folder / name
            if _suffix(name) == _WITH_FOLDER and path.stem in below:
                below.remove(path.stem)
                inside = sorted(p for p in (folder / path.stem).rglob("*") if p.is_file())
                yield self._item([path, *inside])
            else:
                yield self._item([path], known=_suffix(name) in SINGLE)

    def _item(self, paths: Sequence[Path], *, identity: Path | None = None, known: bool = True) -> Item:
        beside = paths[0].parent
        size, stamp = _size_and_stamp([path for path in paths if path.exists()])
        return Item(
            name=paths[0].relative_to(self.root).as_posix(),
            identity=(identity or paths[0]).relative_to(self.root).as_posix(),
            size=size,
            stamp=stamp,
            files=[(path.relative_to(beside).as_posix(), str(path)) for path in paths],
            known=known,
        )


class Bucket:
    """A bucket below a prefix; objects are whole as soon as they are there. A slide of several files comes zipped."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.prefix, self.address = f"{prefix.rstrip('/')}/".lstrip("/"), f"s3://{bucket}/{prefix}"
        connection: Any = storages["slides"]
        self.bucket = connection.connection.Bucket(bucket)

    def items(self) -> Iterator[Item]:
        for one in self.bucket.objects.filter(Prefix=self.prefix):
            name = one.key.removeprefix(self.prefix).lstrip("/")
            if name and not one.key.endswith("/") and PurePosixPath(name).name != TABLE:
                known = _suffix(name) in SINGLE
                yield Item(name, name, one.size, one.e_tag, [(PurePosixPath(name).name, one.key)], known)

    def table(self) -> bytes:
        key = f"{self.prefix}{TABLE}"
        found = [one for one in self.bucket.objects.filter(Prefix=key).limit(1) if one.key == key]
        return bytes(found[0].get()["Body"].read()) if found else b""

    def fetch(self, item: Item, target: Path) -> str:
        self.bucket.download_file(item.files[0][1], str(target))
        return sha256_of(target)

    def stands_still(self, item: Item) -> bool:
        return True


@lru_cache(maxsize=100_000)
def _series_of(path: Path, _changed: int) -> str:
    return series_uid(path)


def _size_and_stamp(paths: Sequence[Path]) -> tuple[int, str]:
    """Bytes of some files together, and when the last of them was changed."""
    said = [path.stat() for path in paths]
    return sum(one.st_size for one in said), str(max((one.st_mtime_ns for one in said), default=0))


def _copied(source: Path, target: Path) -> str:
    """Copy a file; its SHA-256."""
    total = hashlib.sha256()
    with source.open("rb") as file, target.open("wb") as out:
        while block := file.read(_BLOCK):
            total.update(block)
            out.write(block)
    return total.hexdigest()


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _say(error: OSError) -> None:
    _log.warning("a folder cannot be read: %s", error)
