"""DICOM slides, drawn: a zip of instances each. For `formats.py`."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, generate_uid

SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image
CT = "1.2.840.10008.5.1.4.1.1.2"
SYNTAXES = {"native": ExplicitVRLittleEndian, "jpeg": JPEGBaseline8Bit, "jpeg2000": JPEG2000Lossless}


def dicom_zip(*instances: Callable[[dict[str, str]], bytes]) -> Callable[[Path], None]:
    """Writes a zip of instances of one series."""

    def write(path: Path) -> None:
        series = _series()
        with zipfile.ZipFile(path, "w") as out:
            for number, instance in enumerate(instances):
                out.writestr(f"scan/{number}.dcm", instance(series))

    return write


def single(instance: Callable[[dict[str, str]], bytes]) -> Callable[[Path], None]:
    """Writes one instance."""
    return lambda path: path.write_bytes(instance(_series())) and None


def _series() -> dict[str, str]:
    return {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}


def level(
    picture: np.ndarray,
    mpp: float | None,
    *,
    how: str = "jpeg",
    tile: int = 256,
    kind: str = "VOLUME",
    planes: int = 1,
    paths: int = 1,
    number: int = 1,
    sparse: bool = False,
    sop_class: str = SLIDE,
    **more: Any,
) -> Callable[[dict[str, str]], bytes]:
    """One instance: a picture in tiles. kind: VOLUME, LABEL, OVERVIEW or THUMBNAIL. more: elements set besides."""

    def write(series: dict[str, str]) -> bytes:
        height, width = picture.shape[:2]
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = SYNTAXES[how]
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = sop_class
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
        for name, value in series.items():
            setattr(data, name, value)
        data.Modality, data.InstanceNumber, data.Manufacturer, data.ManufacturerModelName = "SM", number, "Drawn", "One"
        data.ImageType = ["ORIGINAL" if number == 1 or kind != "VOLUME" else "DERIVED", "PRIMARY", kind, "NONE"]
        data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = width, height
        data.TotalPixelMatrixFocalPlanes, data.NumberOfOpticalPaths = planes, paths
        data.DimensionOrganizationType = "TILED_SPARSE" if sparse else "TILED_FULL"
        data.Rows = data.Columns = tile
        grey = picture.ndim == 2
        data.SamplesPerPixel, data.BitsStored, data.HighBit = (1 if grey else 3), 8, 7
        data.BitsAllocated, data.PixelRepresentation = 8, 0
        data.PhotometricInterpretation = "MONOCHROME2" if grey else {"jpeg": "YBR_FULL_422"}.get(how, "RGB")
        if not grey:
            data.PlanarConfiguration = 0
        measures = Dataset()
        if mpp:
            measures.PixelSpacing = [mpp / 1000, mpp / 1000]
            data.ImagedVolumeWidth, data.ImagedVolumeHeight = width * mpp / 1000, height * mpp / 1000
        measures.SliceThickness = 0.001
        shared = Dataset()
        shared.PixelMeasuresSequence = Sequence([measures])
        data.SharedFunctionalGroupsSequence = Sequence([shared])
        one = Dataset()
        one.OpticalPathIdentifier = "1"
        data.OpticalPathSequence = Sequence([one] * paths)
        corners = list(itertools.product(range(0, height, tile), range(0, width, tile)))
        if sparse:
            data.PerFrameFunctionalGroupsSequence = Sequence([_position(x, y) for y, x in corners])
        _add_pixels(data, [_tile(picture, y, x, tile) for y, x in corners] * (planes * paths), how)
        for name, value in more.items():
            setattr(data, name, value)
        file = io.BytesIO()
        data.save_as(file, enforce_file_format=True)
        return file.getvalue()

    return write


def _add_pixels(data: Dataset, tiles: list[np.ndarray], how: str) -> None:
    data.NumberOfFrames = len(tiles)
    native = how == "native"
    data.PixelData = b"".join(map(bytes, tiles)) if native else encapsulate([_coded(one, how) for one in tiles])
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", not native


def _position(x: int, y: int) -> Dataset:
    position = Dataset()
    position.ColumnPositionInTotalImagePixelMatrix, position.RowPositionInTotalImagePixelMatrix = x + 1, y + 1
    frame = Dataset()
    frame.PlanePositionSlideSequence = Sequence([position])
    return frame


def _tile(picture: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    part = picture[y : y + side, x : x + side]
    return cv2.copyMakeBorder(part, 0, side - part.shape[0], 0, side - part.shape[1], cv2.BORDER_REPLICATE)


def _coded(tile: np.ndarray, how: str) -> bytes:
    file = io.BytesIO()
    if how == "jpeg":
        Image.fromarray(tile).save(file, "JPEG", quality=95)
    else:
        Image.fromarray(tile).save(file, "JPEG2000", irreversible=False, mct=1, no_jp2=True)
    return file.getvalue()
