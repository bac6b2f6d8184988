"""Getting what was received (WADO-RS, PS3.18 10.4): files as they came, single frames, and metadata without names."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom import dcmread

from detector.errors import SlideError
from webapp.core.errors import Busy, DomainError, Gone, InvalidInput, TooLarge
from webapp.dicomweb.inbox import waiting_folder
from webapp.dicomweb.models import Instance, Series
from webapp.dicomweb.tags import Json, nameless_json
from webapp.slides.models import Slide
from webapp.slides.storage import original_of, slide_held

_BLOCK = 1 << 20
_log = logging.getLogger(__name__)
_MOST_HEADER = 64 << 20  # bytes before the pixels, of which metadata are made
_PIXELS = 0x7FE00010
_KINDS = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
}
_SAY_SO = ("00480010", "00280301")  # Specimen Label in Image, Burned In Annotation
_OF_SLIDE = {"VOLUME"}  # third value of Image Type; others show the label, or all of the glass with it


def shows_label(instance: Instance) -> bool:
    """Whether the picture may show a label, which may name a patient."""
    kinds, *said = (instance.facts.get(tag, {}).get("Value", []) for tag in ("00080008", *_SAY_SO))
    return len(kinds) < 3 or kinds[2] not in _OF_SLIDE or ["YES"] in said


def demand_prepared(series: Series) -> None:
    """Raise where a series is a slide, and its files cannot be had: not yet, or no more."""
    if series.slide is not None and series.slide.state == Slide.State.PREPARING:
        raise Busy("This series is being prepared; ask again in a minute.")
    if series.slide is not None and series.slide.state == Slide.State.REFUSED:
        raise Gone(f"This series was refused: {series.slide.remark}")


@contextlib.contextmanager
def instance_held(series: Series, instance: Instance) -> Iterator[Path]:
    """The file of an instance, on this machine until the end of the block. Raises SlideError where it is gone."""
    if series.slide is None:
        yield _there(waiting_folder(series.study_id, series.uid) / f"{instance.uid}.dcm")
        return
    demand_prepared(series)
    with slide_held(series.slide):
        found = original_of(series.slide)
        assert found is not None, "what was received was not drawn"
        yield _there(found / f"{instance.uid}.dcm" if found.is_dir() else found)


def pieces_of(series: Series, instance: Instance) -> Iterator[bytes]:
    """The file, piece by piece."""
    with instance_held(series, instance) as path, path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def metadata_of(series: Series, instance: Instance) -> Json:
    """What the file says of its pixels, as DICOM JSON: nothing in it names anybody."""
    with instance_held(series, instance) as path, path.open("rb") as file:
        data = dcmread(file, stop_before_pixels=True, defer_size=_MOST_HEADER)
        if file.tell() > _MOST_HEADER:
            raise TooLarge("What this instance says before its pixels is too much for JSON; get the instance.")
        return nameless_json(data)


def frames_of(series: Series, instance: Instance, numbers: Sequence[int]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Frames, from 1, as they are stored: (media type, bytes)."""
    from highdicom.io import ImageFileReader  # here, as highdicom takes a second and few ask for it

    with instance_held(series, instance) as path:
        try:
            with ImageFileReader(path) as reader:
                syntax = str(reader.transfer_syntax_uid)
                kind = f"{_KINDS.get(syntax, 'application/octet-stream')}; transfer-syntax={syntax}"
                for number in numbers:
                    yield kind, iter([reader.read_frame_raw(number - 1)])
        except (ValueError, OSError, AttributeError, IndexError) as error:
            _log.warning("frames of %s: %r", instance, error)
            raise DomainError("The frames of this instance cannot be told apart; get the instance.") from error


def frame_numbers(text: str, instance: Instance) -> list[int]:
    """From a list such as 1,2,7. Raises InvalidInput where the instance has no such frames."""
    most = int(next(iter(instance.facts.get("00280008", {}).get("Value", [])), 1))
    parts = text.split(",")
    if len(parts) > most or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise InvalidInput("Frames are numbers with commas between them, such as 1,2,7.")
    if not all(1 <= int(part) <= most for part in parts):
        raise InvalidInput(f"The frames of this instance are 1 to {most}.")
    return [int(part) for part in parts]


def _there(path: Path) -> Path:
    if not path.exists():
        raise SlideError("It is not in the storage any more.", path)
    return path
