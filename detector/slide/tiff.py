"""What a TIFF holds beside the picture that OpenSlide and Pillow show: other images, how it lies, its bits, OME-XML.

Both read the first image they find, as it is stored: they take no notice of a second one beside it, turn tiles one by
one, and cut 16 bits to 8. Which file is read, which is put together and which is refused: docs/formats.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from detector.errors import SlideError

Rgb = NDArray[np.uint8]

_ORIENTATION = 274  # tag; 1 is upright
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType: a smaller picture of the same, a mask of it
_UNSIGNED = 1  # SampleFormat
_WHITE_IS_ZERO, _PALETTE, _CMYK = 0, 3, 5  # PhotometricInterpretation
_PHOTOMETRIC = {_WHITE_IS_ZERO: "grey", 1: "grey", 2: "colour", _PALETTE: "palette", _CMYK: "colour", 6: "colour"}
_PLANES = 2  # PlanarConfiguration
_ALPHA = (1, 2)  # ExtraSamples
_OTHER_COMPRESSIONS = (34712, 34925, 50001, 50002)  # JPEG 2000, LZMA, WebP, JPEG XL
_CENTIMETRES = {2: 2.54, 3: 1.0}  # ResolutionUnit
_UM = {"pm": 1e-6, "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}  # OME's units of length
_COLOURS = (("red", "green", "blue"), ("r", "g", "b"))  # names of three channels that are one picture
_LARGEST_XML = 10_000_000
MAX_OTHER_PIXELS = 50_000_000  # of a label or macro image, which is decoded whole


@dataclass(frozen=True)
class TiffFacts:
    """size: (width, height), upright. mpp: (x, y) um/px of OME-XML or else of the resolution tags, upright; None where
    neither says any, and not always one of a microscope.

    composed: its pixels are put together by `composed_pixels`, as it is turned, mirrored, of three planes, or of a
    compression or order of bytes that neither OpenSlide nor Pillow reads. sub_levels: (width, height) of its levels in
    SubIFDs, which OpenSlide does not look for, stored in tiles. images: how many pictures it holds.
    """

    size: tuple[int, int]
    mpp: tuple[float, float] | None
    composed: bool
    sub_levels: tuple[tuple[int, int], ...]
    images: int = 1


def tiff_facts(path: Path) -> TiffFacts | None:
    """What a TIFF holds; None for another file, or one that is damaged in a way that others find.

    Raises SlideError where it cannot be shown as it is meant.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            return _facts(tiff, path)
    except SlideError:
        raise
    except Exception:  # tifffile meets damage with errors of every kind
        return None


def composed_pixels(path: Path) -> Rgb:
    """RGB uint8 [height, width, 3], upright, of a file whose facts say that it is composed."""
    with tifffile.TiffFile(path) as tiff:
        pages = _same(_pages(tiff))
        first, kind = pages[0], int(pages[0].photometric)
        if len(pages) == 3:
            pixels = np.stack([page.asarray().reshape(page.shape[:2]) for page in pages], axis=-1)
        else:
            pixels = np.asarray(first.asarray())
        if pixels.ndim == 3 and int(first.planarconfig) == _PLANES:
            pixels = np.moveaxis(pixels, 0, -1)
        if kind == _PALETTE:
            pixels = (np.asarray(first.colormap).T[pixels] >> 8).astype(np.uint8)
        elif kind == _CMYK:
            pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels), "CMYK").convert("RGB"))
        elif pixels.ndim == 2 or pixels.shape[-1] < 3:
            grey = pixels if pixels.ndim == 2 else pixels[..., 0]
            pixels = np.stack([255 - grey if kind == _WHITE_IS_ZERO else grey] * 3, axis=-1)
        return np.ascontiguousarray(_upright(pixels[..., :3], _orientation(first)))


def copy_levels(path: Path, out: Path, keep: Iterable[tuple[int, int]], mpp: tuple[float, float] | None) -> None:
    """Write the levels of these sizes (width, height), tile by tile as they are, into a plain pyramid.

    Pages and SubIFDs alike; the largest comes first. The picture that is none of them, most likely the label, follows
    in strips, which no reader takes for a level.
    """
    partial = out.with_name(f"{out.name}.partial")
    keep = sorted(keep, reverse=True)
    other = other_picture(path, tuple(keep))
    with tifffile.TiffFile(path) as tiff, tifffile.TiffWriter(partial, bigtiff=True) as written:
        first, *_ = pages = _pages(tiff)
        levels = {_size(page): page for page in [*pages[::-1], *_sub_pages(first)] if page.is_tiled}
        for number, size in enumerate(keep):
            page = levels[size]
            written.write(
                _segments(tiff, page),
                shape=page.shape,
                dtype=page.dtype,
                tile=(int(page.tilelength), int(page.tilewidth)),
                photometric=page.photometric,
                planarconfig=page.planarconfig,
                compression=page.compression,
                predictor=page.predictor,
                subsampling=page.subsampling,
                jpegtables=page.jpegtables,
                subfiletype=_REDUCED if number else 0,
                metadata=None,
                software="Mitoscope",
                **resolution_tags(mpp, first.imagewidth / size[0]),
            )
        if other is not None:
            written.write(other, photometric="rgb", subfiletype=_REDUCED, compression="deflate", metadata=None)
    partial.replace(out)


def resolution_tags(mpp: tuple[float, float] | None, scale: float) -> dict[str, Any]:
    """How tifffile is told the um/px of a level. mpp: (x, y) of level 0, or None. scale: how much smaller it is."""
    if mpp is None:
        return {"resolutionunit": "NONE"}
    return {"resolutionunit": "CENTIMETER", "resolution": (1e4 / mpp[0] / scale, 1e4 / mpp[1] / scale)}


def other_picture(path: Path, levels: tuple[tuple[int, int], ...]) -> Rgb | None:
    """The first picture that is marked as a smaller one but is no level of the slide: most likely its label."""
    try:
        with tifffile.TiffFile(path) as tiff:
            for page in _pages(tiff)[1:]:
                other = int(page.subfiletype) & _REDUCED and _size(page) not in levels
                if other and page.shape[-1] == 3 and math.prod(_size(page)) <= MAX_OTHER_PIXELS:
                    return np.asarray(page.asarray(), np.uint8)
    except Exception:  # as above
        return None
    return None


def _facts(tiff: tifffile.TiffFile, path: Path) -> TiffFacts:
    pages = _pages(tiff)
    first = pages[0]
    _check_pixels(first, path)
    orientation = _orientation(first)
    same = _same(pages)
    xml = _ome(tiff)
    channels = tuple(name.lower() for name in _channels(xml))
    unread = int(first.compression) in _OTHER_COMPRESSIONS or (tiff.is_bigtiff and tiff.byteorder == ">")
    of_planes = len(same) == 3 and int(first.samplesperpixel) == 1 and channels in _COLOURS
    depth = int(getattr(first, "imagedepth", 1) or 1)
    if depth > 1 or (len(same) > 1 and not of_planes):
        raise SlideError(
            f"It holds {max(depth, len(same))} images of one size: focal planes, channels or time points. Which of them"
            " is meant is not known; save the one that is to be read as a file of its own.",
            path,
        )
    size, largest = _size(first), max(map(_size, pages), key=math.prod)
    if math.prod(largest) > math.prod(size):
        raise SlideError(
            f"Its first image has {size[0]} x {size[1]} px and another one {largest[0]} x {largest[1]}; save the one "
            "that is to be read as a file of its own.",
            path,
        )
    mpp = _ome_mpp(xml) or _tags_mpp(first)
    if orientation >= 5:
        size, mpp = size[::-1], mpp and mpp[::-1]
    large = [page for page in pages if not int(page.subfiletype) and page.imagewidth * 2 > first.imagewidth]
    return TiffFacts(
        size=(size[0], size[1]),
        mpp=mpp,
        composed=of_planes or orientation != 1 or unread,
        sub_levels=tuple(_size(page) for page in _sub_pages(first)),
        images=1 if of_planes else len(large),
    )


def _check_pixels(page: Any, path: Path) -> None:
    """Raises SlideError unless its pixels can be shown as they are: 8 bits of grey, of colours or of a palette."""
    bits, kind = int(page.bitspersample), int(page.sampleformat)
    if bits > 8 or kind != _UNSIGNED:
        what = {2: " with a sign", 3: " of floating point"}.get(kind, "")
        raise SlideError(f"Its pixels have {bits} bits{what} per channel; 8 are needed. Save it with 8 bits.", path)
    photometric, samples = int(page.photometric), int(page.samplesperpixel)
    colours = _PHOTOMETRIC.get(photometric)
    if colours is None:
        raise SlideError(f"Its colours are stored as {page.photometric.name}, which is not read; save it as RGB.", path)
    unknown = [int(extra) for extra in page.extrasamples or () if int(extra) not in _ALPHA]
    if (colours == "colour" and samples < 3) or (colours == "grey" and (samples > 2 or unknown)):
        raise SlideError(
            f"Its pixels have {samples} channels that are not said to be red, green and blue; save it as RGB.", path
        )


def _pages(tiff: tifffile.TiffFile) -> list[Any]:
    """All pages but masks, with all their tags. Raises ValueError where there is none, or where they go in a ring."""
    tiff.pages.useframes = False
    pages: list[Any] = []
    seen: set[int] = set()
    for page in tiff.pages:
        if page.offset in seen:
            raise ValueError("its pages go in a ring")
        seen.add(page.offset)
        if not int(getattr(page, "subfiletype", 0)) & _MASK:
            pages.append(page)
    if not pages:
        raise ValueError("there is no page")
    return pages


def _same(pages: list[Any]) -> list[Any]:
    """The first page and the others that are as large, and not marked as smaller ones of it."""
    size = _size(pages[0])
    return [pages[0], *(p for p in pages[1:] if _size(p) == size and not int(p.subfiletype) & _REDUCED)]


def _size(page: Any) -> tuple[int, int]:
    """(width, height)."""
    return int(page.imagewidth), int(page.imagelength)


def _sub_pages(page: Any) -> list[Any]:
    """The levels in SubIFDs that are stored in tiles."""
    below = (page.pages or ()) if page.subifds else ()
    return [sub for sub in below if isinstance(sub, tifffile.TiffPage) and sub.is_tiled]


def _orientation(page: Any) -> int:
    tag = page.tags.get(_ORIENTATION)
    value = int(tag.value) if tag is not None else 1
    return value if 1 <= value <= 8 else 1


def _upright(pixels: Rgb, orientation: int) -> Rgb:
    """An image [height, width, ...] as it is meant to be seen (TIFF 6.0, Orientation)."""
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    rows = orientation in (3, 4, 7, 8)  # the first row, or what has become it, is at the bottom
    columns = orientation in (2, 3, 6, 7)  # the first column is at the right
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def _segments(tiff: tifffile.TiffFile, page: Any) -> Iterator[bytes]:
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(offset)
        yield tiff.filehandle.read(count)


def _ome(tiff: tifffile.TiffFile) -> ElementTree.Element | None:
    """OME-XML of the first page; None where there is none, or where it is none."""
    text = str(getattr(tiff.pages[0], "description", ""))
    if "<OME" not in text[:2000] or len(text) > _LARGEST_XML or "<!ENTITY" in text:
        return None
    try:
        return ElementTree.fromstring(text.strip("\0 \n"))  # noqa: S314  expat bounds what entities make
    except ElementTree.ParseError:
        return None


def _channels(xml: ElementTree.Element | None) -> list[str]:
    """Names of the channels of the first image."""
    pixels = _first_pixels(xml)
    return [] if pixels is None else [one.get("Name", "") for one in pixels if one.tag.endswith("}Channel")]


def _ome_mpp(xml: ElementTree.Element | None) -> tuple[float, float] | None:
    """(x, y) um/px of the first image, in whatever unit it is given."""
    pixels = _first_pixels(xml)
    if pixels is None:
        return None
    sides = []
    for axis in "XY":
        value, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        try:
            sides.append(float(value or "nan") * _UM[unit])
        except (ValueError, KeyError):
            return None
    return (sides[0], sides[1]) if all(side > 0 for side in sides) else None


def _tags_mpp(page: Any) -> tuple[float, float] | None:
    """(x, y) um/px of the resolution tags."""
    unit = page.tags.get("ResolutionUnit")
    centimetres = _CENTIMETRES.get(int(unit.value) if unit is not None else 2)
    sides = []
    for name in ("XResolution", "YResolution"):
        value = page.tags[name].value if name in page.tags else (0, 1)
        if centimetres is None or not value[0] or not value[1]:
            return None
        sides.append(centimetres * 10_000 * value[1] / value[0])
    return sides[0], sides[1]


def _first_pixels(xml: ElementTree.Element | None) -> ElementTree.Element | None:
    if xml is None:
        return None
    return next((one for one in xml.iter() if one.tag.endswith("}Pixels")), None)
