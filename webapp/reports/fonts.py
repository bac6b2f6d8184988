"""The fonts of a report: Noto of every script that a name may be in, so that a signed page never shows a box."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import typst
from django.conf import settings
from fontTools.ttLib import TTFont

_PACKAGES = Path(settings.BASE_DIR) / "node_modules"
_FOLDERS = (
    *(_PACKAGES / "@embedpdf" / f"fonts-{name}" / "fonts" for name in ("latin", "arabic", "hebrew", "sc", "kr", "jp")),
    *sorted((_PACKAGES / "@expo-google-fonts").glob("noto-*/*00Regular")),
    _PACKAGES / "dejavu-fonts-ttf" / "ttf",  # Armenian, Georgian, Lao, signs
)
_FILES = ("*Regular.ttf", "*Regular.otf", "DejaVuSans.ttf")
_FIRST = "Noto Sans"
_JOINERS = {"\u200c", "\u200d"}
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


@cache
def fonts() -> typst.Fonts:
    """What the pages are set in; read once by each process."""
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(f) for f in _FOLDERS])


def families() -> list[str]:
    """In the order in which they are looked through for a letter."""
    others = [name for name in fonts().families() if name not in {_FIRST, "DejaVu Sans"} and "Noto" in name]
    return [_FIRST, *others, "DejaVu Sans"]


@cache
def _letters() -> frozenset[int]:
    known: set[int] = set()
    for folder in _FOLDERS:
        for pattern in _FILES:
            for path in folder.glob(pattern):
                with TTFont(path, lazy=True) as font:
                    known |= font.getBestCmap().keys()
    return frozenset(known)


def printable(text: str) -> str:
    """The text; a sign that no font has is written as its number, such as [U+1F52C].

    Joiners stay, by which letters of Persian or Sinhala take their shape; selectors of variants go, as fonts have one.
    """
    return "".join(
        sign if sign in _JOINERS or (sign.isprintable() and ord(sign) in _letters()) else f"[U+{ord(sign):04X}]"
        for sign in " ".join(text.split())
        if not _SELECTORS.match(sign)
    )


def all_printable(value: Any) -> Any:
    """The same of every text in what is to be printed."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: all_printable(one) for key, one in value.items()}
    return [all_printable(one) for one in value] if isinstance(value, list | tuple) else value
