"""Folders of look-alikes: single patches, each with a hard negative (pyknotic, smudged, apoptotic) at its centre.

Layout: images in `look_alikes/` or in folders directly below it, one for each source; of 64 px a side or more, at x40.
The slide is not known: each folder is one case, each patch has its own stain.
"""

from __future__ import annotations

from pathlib import Path

from detector import paper
from detector.datasets.rows import folder_and_below, images_in, read_patches
from detector.frames import LabelledFrame

LAYOUT = "look-alikes (patches in look_alikes/ or in look_alikes/SOURCE/)"
NAME = "look_alikes"
_LEAST = paper.PATCH_SIZE // 2  # px


def recognises(folder: Path) -> bool:
    """Whether the folder is one of look-alikes, by its name or that of the folder around it."""
    return NAME in {folder.name, folder.resolve().parent.name} and bool(own_folders(folder))


def read(folder: Path) -> list[LabelledFrame]:
    """One non-exhaustive frame without a mitosis per patch. Raises DataSetError where a patch cannot be read."""
    return [
        frame
        for home in own_folders(folder)
        for frame in read_patches(
            home, source=f"look-alikes {home.name}", case=f"{NAME}/{home.name}", mitotic=False, least=_LEAST
        )
    ]


def own_folders(folder: Path) -> list[Path]:
    """The folders with its patches: itself or those directly below."""
    return [home for home in folder_and_below(folder) if images_in(home)]
