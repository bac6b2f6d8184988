"""Where the files of slides are kept: in SLIDE_DIR, or in an S3 bucket of which SLIDE_DIR is a bounded cache.

Whoever opens a slide asks `slide_held` or `slide_fetched` for its file. Without a bucket that is the file itself. With
one, the slide's folder is brought here first, and the folders used longest ago make room for it.

Uploads and preparing happen in SLIDE_DIR, so the ingest workers share it with the web; `slide_keep` then puts the
result into the bucket. Detection workers and tile servers elsewhere need the bucket alone; weights that were trained
here are in it, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import ClientError
from django.conf import settings
from django.core.files.storage import storages

from detector.errors import SlideError
from detector.slide.folder import files_below
from webapp.slides.models import Slide

_WHOLE = ".whole"  # in a folder that is in the bucket too, all of it; its time is when the slide was last used


def slide_fetched(slide: Slide) -> Path:
    """The file to open, on this machine now. Another slide may need its room the next moment: see `slide_held`."""
    with slide_held(slide) as file:
        return file


@contextlib.contextmanager
def slide_held(slide: Slide) -> Iterator[Path]:
    """The file to open, on this machine until the end of the block."""
    if _bucket() is None:
        yield slide.file
        return
    with _lock(slide) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not _here(slide):
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process at a time fetches a slide
            if not _here(slide):
                _download(slide)
                _make_room(slide)
            fcntl.flock(lock, fcntl.LOCK_SH)  # not in one step: it may have gone meanwhile
        yield slide.file


def thumbnail_read(slide: Slide) -> bytes:
    """The JPEG of at most 512 px, without fetching the slide for it. OSError where there is none."""
    bucket = _bucket()
    if bucket is None or slide.thumbnail.exists():
        return slide.thumbnail.read_bytes()
    try:
        data: bytes = bucket.Object(f"{slide.pk}/{slide.thumbnail.name}").get()["Body"].read()
    except ClientError as error:
        raise FileNotFoundError(slide.thumbnail) from error
    return data


def weights_keep(path: Path, sha256: str) -> None:
    """Put weights that were trained here, and the card beside them, into the bucket, for workers elsewhere."""
    if (bucket := _bucket()) is not None:
        for one in (path, path.with_suffix(".json")):
            bucket.upload_file(str(one), f"weights/{sha256}{one.suffix}")


def weights_fetched(path: Path, sha256: str) -> Path:
    """The weights on this machine, fetched with their card where they are missing; a few MB, so they stay.

    Where the bucket has none either nothing is done: who opens the file says so.
    """
    if path.exists() or (bucket := _bucket()) is None:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    for one in (path.with_suffix(".json"), path):  # the weights last: they say that both are there
        partial = one.with_name(f"{one.name}.{os.getpid()}")
        try:
            bucket.download_file(f"weights/{sha256}{one.suffix}", str(partial))
        except ClientError:
            return path
        partial.replace(one)
    return path


def slide_keep(slide: Slide, *, without: Path | None = None) -> None:
    """Put the folder of a prepared slide into the bucket, but for one file. Doing so twice is doing it once."""
    if (bucket := _bucket()) is None:
        return
    for path in files_below(slide.folder):
        if path.name != _WHOLE and path != without:
            bucket.upload_file(str(path), f"{slide.pk}/{path.relative_to(slide.folder)}")
    (slide.folder / _WHOLE).touch()
    _make_room(slide)


def slide_forget(slide: Slide) -> None:
    """Delete the files of a slide wherever they are."""
    if (bucket := _bucket()) is not None:
        bucket.objects.filter(Prefix=f"{slide.pk}/").delete()
    shutil.rmtree(slide.folder, ignore_errors=True)


def bucket_make() -> bool:
    """Make the bucket of the settings; False where it is there already. Raises what boto3 raises."""
    bucket = _bucket()
    try:
        bucket.meta.client.head_bucket(Bucket=bucket.name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        bucket.create()
        return True
    return False


def _bucket() -> Any:
    """The bucket of boto3, or None where slides are kept in SLIDE_DIR."""
    storage: Any = storages["slides"] if settings.S3_BUCKET else None
    return storage and storage.bucket


def _here(slide: Slide) -> bool:
    """Whether the folder is on this machine; says that it is used."""
    try:
        os.utime(slide.folder / _WHOLE)
    except FileNotFoundError:
        return slide.file.exists()  # being prepared on this machine
    return True


def _download(slide: Slide) -> None:
    """Raises SlideError where the bucket has no such slide."""
    partial = slide.folder.with_name(f"{slide.pk}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for found in _bucket().objects.filter(Prefix=f"{slide.pk}/"):
        path = partial / found.key.removeprefix(f"{slide.pk}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        _bucket().download_file(found.key, str(path))
    if not partial.exists():
        raise SlideError("Its files are not in the storage any more.")
    (partial / _WHOLE).touch()
    shutil.rmtree(slide.folder, ignore_errors=True)
    partial.rename(slide.folder)


def _make_room(keep: Slide) -> None:
    """Drop the folders used longest ago until the rest fits; those in use stay, and those that are here alone."""
    folders = [whole.parent for whole in Path(settings.SLIDE_DIR).glob(f"*/{_WHOLE}")]
    sizes = {folder: sum(path.stat().st_size for path in files_below(folder)) for folder in folders}
    total = sum(sizes.values())
    for folder in sorted(folders, key=lambda folder: (folder / _WHOLE).stat().st_mtime):
        if total <= settings.SLIDE_CACHE_BYTES:
            return
        if folder != keep.folder and _drop(folder):
            total -= sizes[folder]


def _drop(folder: Path) -> bool:
    """Delete a folder that nobody holds; False where somebody does."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        (folder / _WHOLE).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        return True


def _lock(slide: Slide) -> IO[str]:
    Path(settings.SLIDE_DIR).mkdir(parents=True, exist_ok=True)
    return slide.folder.with_name(f"{slide.pk}.lock").open("w")
