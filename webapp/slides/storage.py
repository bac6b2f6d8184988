"""Where the files of slides are kept: in SLIDE_DIR, or in an S3 bucket of which SLIDE_DIR is a bounded cache.

To read a slide's pixels there is one door: `slide_opened`, or `slide_held` and `slide_fetched` for its path. Without a
bucket that is the file itself. With one, the slide's folder is brought here first, and the folders used longest ago
make room for it.

Uploads and preparing write to `local_path`, in SLIDE_DIR, so the ingest workers share it with the web; `slide_keep`
then puts the result into the bucket. Detection workers and tile servers elsewhere need the bucket alone.
What is deleted is dropped by this host at once, by the others within a minute, or an hour after it came there.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from uuid import UUID

from botocore.exceptions import ClientError
from django.conf import settings
from django.db import connection

from detector.errors import SlideError
from detector.slide import Slide as SlideFile
from detector.slide import open_slide
from detector.slide.folder import files_below
from detector.slide.masks import TISSUE_FILE, Mask, mask_of_png, mask_png
from webapp.core.bucket import is_missing, s3_bucket
from webapp.slides.models import Slide

_SWEPT_EVERY, _SETTLED = 60, 3600  # seconds
_log = logging.getLogger(__name__)
_PARTIAL = ".partial"  # after the name of a folder that is being fetched
_WHOLE = ".whole"  # in a folder that is in the bucket too, all of it; its time is when the slide was last used


def local_path(slide: Slide) -> Path:
    """Where the file lies on this machine, if it is here: for who writes it. Readers use `slide_opened`."""
    return slide.folder / slide.path


@contextlib.contextmanager
def slide_opened(slide: Slide) -> Iterator[SlideFile]:
    """The slide's file, open and on this machine until the end of the block. Raises SlideError."""
    with slide_held(slide) as path, open_slide(path) as file:
        yield file


def slide_fetched(slide: Slide) -> Path:
    """The file to open, on this machine now. Another slide may need its room the next moment: see `slide_held`."""
    with slide_held(slide) as file:
        return file


@contextlib.contextmanager
def slide_held(slide: Slide) -> Iterator[Path]:
    """The file to open, on this machine until the end of the block."""
    if s3_bucket() is None:
        yield local_path(slide)
        return
    with _lock(slide) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not _here(slide):
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process at a time fetches a slide
            if not _here(slide):
                _download(slide)
                _make_room(slide)
            fcntl.flock(lock, fcntl.LOCK_SH)  # not in one step: it may have gone meanwhile
        yield local_path(slide)


def original_of(slide: Slide) -> Path | None:
    """What was uploaded, of a slide that is held: its file, or the folder that came zipped; None where it was drawn.

    Raises SlideError where it is gone.
    """
    unpacked, original = slide.folder / "unpacked", slide.folder / "original"
    if slide.drawn:
        return None
    lie_there = sorted(original.glob("*"))  # several where they are used in place
    found = unpacked if unpacked.is_dir() else original if len(lie_there) > 1 else next(iter(lie_there), None)
    if found is None:
        raise SlideError("It is not in the storage any more.", original / "slide")
    return found


def thumbnail_read(slide: Slide) -> bytes | None:
    """The JPEG of at most 512 px, without fetching the slide for it; None where there is none yet.

    Raises SlideError where it is gone.
    """
    try:
        return _read_alone(slide, slide.thumbnail)
    except FileNotFoundError as error:
        if slide.state not in {Slide.State.READY, Slide.State.NEEDS_MPP}:
            return None
        raise SlideError("It is not in the storage any more.", slide.thumbnail) from error


def tissue_read(slide: Slide) -> Mask | None:
    """Where the slide has tissue, [h, w] over all of it, without fetching it.

    None where that was not measured, or what was kept of it is damaged: `manage.py measure_tissue` does it then.
    """
    try:
        return mask_of_png(_read_alone(slide, slide.folder / TISSUE_FILE))
    except FileNotFoundError:
        return None
    except ValueError as error:
        _log.error("the tissue of slide %s is not known any more: %s", slide.pk, error)
        return None


def tissue_keep(slide: Slide, mask: Mask) -> None:
    """Keep where the slide has tissue, beside its other files."""
    data = mask_png(mask)
    if (bucket := s3_bucket()) is not None:
        bucket.put_object(Key=f"{slide.files_of}/{TISSUE_FILE}", Body=data)
    if slide.folder.exists():
        partial = slide.folder / f".{TISSUE_FILE}.{os.getpid()}"
        try:
            partial.write_bytes(data)
            partial.replace(slide.folder / TISSUE_FILE)  # whole or not at all
        finally:
            partial.unlink(missing_ok=True)


def _read_alone(slide: Slide, path: Path) -> bytes:
    """A file of the slide's folder, without the others. OSError where there is none."""
    bucket = s3_bucket()
    if bucket is None or path.exists():
        return path.read_bytes()
    try:
        data: bytes = bucket.Object(f"{slide.files_of}/{path.name}").get()["Body"].read()
    except ClientError as error:
        if is_missing(error):
            raise FileNotFoundError(path) from error
        raise
    return data


def slide_keep(slide: Slide, *, without: Path | None = None) -> None:
    """Put the folder of a prepared slide into the bucket, but for one file. Doing so twice is doing it once."""
    if (bucket := s3_bucket()) is None:
        return
    for path in files_below(slide.folder):
        if path.name != _WHOLE and path != without:
            bucket.upload_file(str(path), f"{slide.files_of}/{path.relative_to(slide.folder)}")
    (slide.folder / _WHOLE).touch()
    _make_room(slide)


def slide_forget(slide: Slide) -> None:
    """Delete the files of a slide wherever they are."""
    if (bucket := s3_bucket()) is not None:
        bucket.objects.filter(Prefix=f"{slide.files_of}/").delete()
    shutil.rmtree(slide.folder, ignore_errors=True)


def cache_sweep() -> int:
    """Drop what this machine holds of slides that were deleted on another one; how many there were."""
    if s3_bucket() is None:
        return 0
    old = time.time() - _SETTLED  # before, a slide may be on its way here, and its row not committed yet
    found = (path for path in Path(settings.SLIDE_DIR).glob("*") if path.is_dir() and _key_of(path))
    folders = [path for path in found if path.stat().st_mtime < old]
    there = set(Slide.objects.filter(pk__in={_key_of(folder) for folder in folders}).values_list("pk", flat=True))
    return sum(_drop(folder) for folder in folders if _key_of(folder) not in there)


def sweep_from_now_on() -> None:
    """Sweep the cache of this machine every minute, beside what the process does."""
    if s3_bucket() is not None:
        threading.Thread(target=_sweep_on, name="sweep", daemon=True).start()


def _key_of(folder: Path) -> UUID | None:
    """The slide that a folder is of, be it whole or being fetched; None where it is of none."""
    try:
        return UUID(folder.name.removesuffix(_PARTIAL))
    except ValueError:
        return None


def _sweep_on() -> None:
    while True:
        time.sleep(_SWEPT_EVERY)
        try:
            cache_sweep()
        except Exception:  # the database or the disk may be away for a while
            _log.warning("the cache of slides was not swept", exc_info=True)
        finally:
            connection.close()


def _here(slide: Slide) -> bool:
    """Whether the folder is on this machine; says that it is used."""
    try:
        os.utime(slide.folder / _WHOLE)
    except FileNotFoundError:
        return local_path(slide).exists()  # being prepared on this machine
    return True


def _download(slide: Slide) -> None:
    """Raises SlideError where the bucket has no such slide."""
    partial = slide.folder.with_name(f"{slide.files_of}{_PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    for found in s3_bucket().objects.filter(Prefix=f"{slide.files_of}/"):
        path = partial / found.key.removeprefix(f"{slide.files_of}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3_bucket().download_file(found.key, str(path))
    if not partial.exists():
        raise SlideError("Its files are not in the storage any more.", slide.folder)
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
    return slide.folder.with_name(f"{slide.files_of}.lock").open("w")
