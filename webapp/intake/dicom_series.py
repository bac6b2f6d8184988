"""Which series a DICOM file is of, read from its beginning."""

from __future__ import annotations

from pathlib import Path

from pydicom.filereader import read_file_meta_info, read_partial

_SERIES_UID = 0x0020000E
_DEFLATED = "1.2.840.10008.1.2.1.99"  # a transfer syntax in which a little grows into much


def is_deflated(path: Path) -> bool:
    """Asked before a file is read, as reading would inflate it. Raises what pydicom raises for a damaged one."""
    return str(read_file_meta_info(path).get("TransferSyntaxUID", "")) == _DEFLATED


def series_uid(path: Path) -> str:
    """Its Series Instance UID, also of a file of which only the beginning is there; "" where that does not say it."""
    try:
        if is_deflated(path):
            return ""
        with path.open("rb") as file:
            said = read_partial(file, stop_when=lambda tag, *_: tag > _SERIES_UID, specific_tags=[_SERIES_UID])
        return str(said.get("SeriesInstanceUID", ""))
    except Exception:  # there is no end of what a damaged file raises; whoever reads all of it says what is wrong
        return ""
