"""One way to read pixels from everything: slides through OpenSlide, flat images (a frame as PNG, ...) through Pillow.

Coordinates: `l0_` are level-0 pixels, `l_` pixels of the level named beside them; origin top left, (x, y). Arrays are
[row, column]. Slides are read uncropped (no openslide bounds).
"""

from __future__ import annotations

import math
import re
import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from detector.errors import SlideError
from detector.slide.jpeg_tiles import VENDORS, JpegLevel, jpeg_levels
from detector.slide.tiff import MAX_OTHER_PIXELS, TiffFacts, composed_pixels, other_picture, tiff_facts

Rgb = NDArray[np.uint8]

MAX_FLAT_PIXELS = 400_000_000  # a flat image is decoded whole: 1.2 GB of RGB
FLAT_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
Image.MAX_IMAGE_PIXELS = MAX_FLAT_PIXELS  # Pillow's own limit would refuse images from 179 million pixels up
_BEGIN = 256  # bytes of a file that say what it is
_KNOWN = {  # what people take for slides, and how it begins
    "a PDF": (b"%PDF",),
    "a GIF": (b"GIF8",),
    "a WebP image or an AVI film": (b"RIFF",),
    "a JPEG 2000 image": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "a Zeiss CZI file": (b"ZISRAWFILE",),
    "an HDF5 file (such as .ims or .h5)": (b"\x89HDF\r\n\x1a\n",),
    "a zip": (b"PK\3\4", b"PK\5\6"),
    "a gzip": (b"\x1f\x8b",),
    "a RAR archive": (b"Rar!",),
    "a 7-Zip archive": (b"7z\xbc\xaf\x27\x1c",),
    "a web page or XML": (b"<!DOCTYPE", b"<html", b"<?xml"),
    "a program": (b"MZ", b"\x7fELF"),
}
_OPENSLIDE_SAYS = {  # in words for people
    r".*Short read.*": "it is cut off; send it again",
    r".*TotalPixelMatrixFocalPlanes value (\d+).*": r"it has \1 focal planes, and a slide is read in one",
    r".*NumberOfOpticalPaths value (\d+).*": r"it has \1 optical paths, and a slide is read in one",
    r".*Couldn't read PlanarConfiguration.*": "it is grey, and a picture of stained tissue has colours",
    r".*No pyramid levels found.*": "it holds no picture of a slide, but perhaps its label or an overview",
}
_PLAUSIBLE_MPP = (0.05, 5.0)  # below: beyond the optics; above: screen or print resolution (72 dpi = 353 um/px)


class Slide(ABC):
    """What everything else reads from. size, level_sizes: (width, height). mpp: (x, y) um per level-0 pixel."""

    path: Path
    format: str
    size: tuple[int, int]
    level_sizes: tuple[tuple[int, int], ...]
    mpp: tuple[float, float] | None
    properties: dict[str, str]

    @abstractmethod
    def read(self, level: int, l_x: int, l_y: int, width: int, height: int) -> Rgb:
        """RGB uint8 [height, width, 3] of a level, in that level's pixels; white outside of the image."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def plausible_mpp(x: float | None, y: float | None) -> tuple[float, float] | None:
    """(x, y) in um/px where both could be a microscope's, else None: screen resolutions are no scale."""
    low, high = _PLAUSIBLE_MPP
    if x is None or y is None or not (low <= x <= high and low <= y <= high):
        return None
    return (x, y)


class OpenSlideFile(Slide):
    """A slide opened by OpenSlide; levels that are JPEG tiles are read directly, with the same pixels. Thread-safe.

    jpeg: of each level its JPEG tiles, or None where OpenSlide reads it. Levels of another shape than level 0 are left
    out: a label that is marked as a smaller picture of the slide. tiff: what `tiff_facts` says of a generic TIFF.
    """

    jpeg: tuple[JpegLevel | None, ...]

    def __init__(
        self, path: Path, cache: openslide.OpenSlideCache | None = None, tiff: TiffFacts | None = None
    ) -> None:
        self.path, self.tiff = path, tiff
        try:
            self.openslide = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as error:
            raise SlideError(f"OpenSlide cannot open it: {_reason(error, path)}.", path) from error
        if cache is not None:
            self.openslide.set_cache(cache)
        self.properties = dict(self.openslide.properties)
        self.format = self.properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
        if (paths := self.properties.get("dicom.NumberOfOpticalPaths", "1")) != "1":
            self.openslide.close()
            raise SlideError(f"It has {paths} optical paths, and a slide is read in one.", path)
        sizes = self.openslide.level_dimensions
        self.size = sizes[0]
        grids = self.format in VENDORS  # others may pad their levels
        self._levels = [level for level, size in enumerate(sizes) if not grids or _same_shape(size, self.size)]
        self.level_sizes = tuple(sizes[level] for level in self._levels)
        said = (
            _number(self.properties.get(openslide.PROPERTY_NAME_MPP_X)),
            _number(self.properties.get(openslide.PROPERTY_NAME_MPP_Y)),
        )
        self.mpp = (tiff and tiff.mpp and plausible_mpp(*tiff.mpp)) or plausible_mpp(*said)
        background = self.properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "FFFFFF")
        self._background = tuple(bytes.fromhex(background))
        self.jpeg = jpeg_levels(path, self.format, self.level_sizes)

    def read(self, level: int, l_x: int, l_y: int, width: int, height: int) -> Rgb:
        tiles = self.jpeg[level]
        if tiles is not None and (region := tiles.read(l_x, l_y, width, height)) is not None:
            return region
        downsample_x = self.size[0] / self.level_sizes[level][0]
        downsample_y = self.size[1] / self.level_sizes[level][1]
        location = (round(l_x * downsample_x), round(l_y * downsample_y))
        try:
            rgba = self.openslide.read_region(location, self._levels[level], (width, height))
        except openslide.OpenSlideError as error:
            raise SlideError(f"It is damaged: {_reason(error, self.path)}.", self.path) from error
        rgb = Image.new("RGB", rgba.size, self._background)
        rgb.paste(rgba, mask=rgba.getchannel("A"))
        return np.array(rgb)  # a copy, as torch warns of arrays that cannot be written

    def associated(self, kind: str) -> Rgb | None:
        """The picture that comes with the slide, such as "label" or "macro"; None where there is none, or too large."""
        if kind == "label" and self.format == "generic-tiff":
            return other_picture(self.path, self.level_sizes)
        sides = [self.properties.get(f"openslide.associated.{kind}.{side}", "0") for side in ("width", "height")]
        if not 0 < math.prod(int(side) for side in sides) <= MAX_OTHER_PIXELS:
            return None
        try:
            return np.array(self.openslide.associated_images[kind].convert("RGB"))
        except openslide.OpenSlideError:
            return None

    def close(self) -> None:
        self.openslide.close()


class FlatImage(Slide):
    """A flat image in memory, one level. Only a TIFF can say its scale: the dots per inch of others are a screen's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pixels, self.format, self.mpp = _decode(path)
        self.size = (int(self.pixels.shape[1]), int(self.pixels.shape[0]))
        self.level_sizes = (self.size,)
        self.properties: dict[str, str] = {}

    def read(self, level: int, l_x: int, l_y: int, width: int, height: int) -> Rgb:
        if level != 0:
            raise ValueError(f"a flat image has level 0 alone, not {level}")
        out = np.full((height, width, 3), 255, dtype=np.uint8)
        x0, y0 = max(l_x, 0), max(l_y, 0)
        x1, y1 = min(l_x + width, self.size[0]), min(l_y + height, self.size[1])
        if x0 < x1 and y0 < y1:
            out[y0 - l_y : y1 - l_y, x0 - l_x : x1 - l_x] = self.pixels[y0:y1, x0:x1]
        return out

    def close(self) -> None:
        self.pixels = np.empty((0, 0, 3), dtype=np.uint8)


def open_slide(path: Path, cache: openslide.OpenSlideCache | None = None) -> Slide:
    """Open a slide or a flat image. cache: an OpenSlideCache to share between slides.

    Raises SlideError, in words for the person who gave the file.
    """
    if not path.exists():
        raise SlideError("There is no such file.", path)
    if path.is_dir():
        raise SlideError("This is a folder; give a file in it.", path)
    if not path.is_file():
        raise SlideError("This is no regular file; give a slide or an image.", path)
    try:
        vendor = openslide.OpenSlide.detect_format(path)
    except OSError as error:
        raise SlideError(f"It cannot be read ({error.strerror}).", path) from error
    facts = tiff_facts(path) if vendor == "generic-tiff" else None
    if vendor is not None and not (facts and facts.composed):
        return OpenSlideFile(path, cache, facts)
    return FlatImage(path)


def _decode(path: Path) -> tuple[Rgb, str, tuple[float, float] | None]:
    """Pixels of a flat image with its orientation applied, its format and its um/px."""
    if path.stat().st_size == 0:
        raise SlideError("It is empty (0 bytes); the copy may have broken off.", path)
    facts, doubt = None, None
    try:
        facts = tiff_facts(path)
    except SlideError as error:
        doubt = error  # told unless it is cut off
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of large images and odd tags; what matters is raised
            if facts is not None and facts.composed:
                _check_size(facts.size, path)
                return composed_pixels(path), "TIFF", facts.mpp and plausible_mpp(*facts.mpp)
            image = Image.open(path, formats=FLAT_FORMATS)
            kind = str(image.format)
            getattr(image, "n_frames", 1)  # goes to the last page of a TIFF, which is missing where it was cut off
            if doubt is not None:
                raise doubt
            _check_flat(image, path)
            mpp = plausible_mpp(*facts.mpp) if facts is not None and facts.mpp is not None else None
            rgb = ImageOps.exif_transpose(image)
            if rgb.mode in {"RGBA", "LA", "P"}:
                rgba = rgb.convert("RGBA")
                rgb = Image.new("RGB", rgba.size, "white")
                rgb.paste(rgba, mask=rgba.getchannel("A"))
            return np.asarray(rgb.convert("RGB")), kind, mpp
    except UnidentifiedImageError:
        raise doubt or SlideError(_unknown(path), path) from None
    except Image.DecompressionBombError:
        raise SlideError("It says that it has more pixels than any image that can be read.", path) from None
    except (OSError, SyntaxError, TypeError, ValueError, MemoryError) as error:
        raise SlideError(f"It is damaged or cut off ({error or type(error).__name__}).", path) from error


def _check_flat(image: Image.Image, path: Path) -> None:
    _check_size(image.size, path)
    if image.mode not in {"RGB", "RGBA", "L", "LA", "P", "CMYK", "YCbCr", "1"}:
        raise SlideError(f"Its pixels are of kind {image.mode}; 8 bits per channel are needed.", path)


def _check_size(size: tuple[int, int], path: Path) -> None:
    if math.prod(size) > MAX_FLAT_PIXELS:
        raise SlideError(
            f"It is a flat image of {size[0]} x {size[1]} px; up to {MAX_FLAT_PIXELS // 10**6} million "
            "pixels can be turned into a pyramid. Save it as a tiled pyramidal TIFF.",
            path,
        )


def _unknown(path: Path) -> str:
    """What a file that cannot be read is, where its first bytes say it."""
    with path.open("rb") as file:
        begin = file.read(_BEGIN)
    if begin[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        return "It begins like a TIFF, but is cut off, damaged or compressed in a way that is not known here."
    if begin[128:132] == b"DICM":
        return "It is a DICOM file, but not of a whole slide: a CT, an X-ray or some other picture."
    for what, magic in _KNOWN.items():
        if begin.startswith(magic):
            return f"It is {what}: neither a slide that OpenSlide can open nor a PNG, JPEG, BMP or TIFF image."
    return "It is neither a slide that OpenSlide can open nor a PNG, JPEG, BMP or TIFF image."


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _same_shape(size: tuple[int, int], of: tuple[int, int]) -> bool:
    """Whether a level is as wide, for its height, as level 0, but for rounding to whole pixels."""
    return abs(size[0] * of[1] - size[1] * of[0]) <= 2 * (of[0] + of[1])


def _reason(error: Exception, path: Path) -> str:
    """What OpenSlide says, without the server's folders."""
    text = str(error).replace(f"{path.parent}/", "").strip().rstrip(".")
    for said, means in _OPENSLIDE_SAYS.items():
        text = re.sub(said, means, text)
    return re.sub(r"/\S*/", "", text)[:300] or type(error).__name__
