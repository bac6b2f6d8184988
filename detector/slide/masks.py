"""Where a slide has tissue, kept beside its thumbnail."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.bool_]
TISSUE_FILE: Final = "tissue.png"  # in the slide's folder


def mask_png(mask: Mask) -> bytes:
    """A mask as a PNG of one bit a pixel."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "png")
    return buffer.getvalue()


def mask_of_png(data: bytes) -> Mask:
    """The mask that `mask_png` wrote. Raises ValueError where it is damaged."""
    try:
        return np.asarray(Image.open(io.BytesIO(data)).convert("1"), bool)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"this is no whole PNG: {error}") from error
