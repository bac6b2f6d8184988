"""Tissue against glass on a picture of a whole slide."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.slide.reader import Rgb

GLASS_VALUE = 230  # glass is bright ...
GLASS_SATURATION = 12  # ... and without colour (0..255); pale eosin has more


def tissue_mask(picture: Rgb) -> NDArray[np.bool_]:
    """True [h, w] where a picture of a slide (or frame) shows tissue; specks and pinholes of a few pixels are cleaned.

    A pixel is tissue if it is coloured, or dark but not black: black is padding or a slide's label edge.
    """
    smooth = cv2.medianBlur(np.ascontiguousarray(picture), 5) if min(picture.shape[:2]) >= 5 else picture
    hsv = cv2.cvtColor(smooth, cv2.COLOR_RGB2HSV)
    saturation, value = hsv[..., 1], hsv[..., 2]
    tissue = ((saturation > GLASS_SATURATION) | (value < GLASS_VALUE)) & (value > 20)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    mask = cv2.morphologyEx(tissue.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel) > 0)
