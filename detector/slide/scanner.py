"""What a slide was scanned with."""

from __future__ import annotations

from detector.slide.reader import Slide

_PROPERTIES = (
    ("aperio.ScanScope ID",),
    ("hamamatsu.Product",),
    ("leica.device-model",),
    ("ventana.ScannerModel",),
    ("dicom.Manufacturer", "dicom.ManufacturerModelName"),
    ("philips.DICOM_MANUFACTURER", "philips.DICOM_MANUFACTURERS_MODEL_NAME"),
    ("tiff.Make", "tiff.Model"),
)


def scanner_of(slide: Slide) -> str:
    """What the file says that it was scanned with, else its vendor: what slides are told apart by."""
    for names in _PROPERTIES:
        if words := [slide.properties[name] for name in names if slide.properties.get(name)]:
            return " ".join(words)[:100]
    return slide.format
