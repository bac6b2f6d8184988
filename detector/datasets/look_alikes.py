"""Folders of look-alikes: single patches, each with a hard negative (pyknotic, smudged, apoptotic) at its centre.

Layout: images in `look_alikes/` or in folders directly below it, one for each source; of 64 px a side or more, at x40.
The slide is not known: each folder is one case, each patch has its own stain.
"""

from __future__ import annotations

from pathlib import Path

from detector import paper
from detector.datasets.rows import IMAGES, read_patch
from detector.frames import LabelledFrame, lab_statistics, points

LAYOUT = "look-alikes (patches in look_alikes/ or in look_alikes/SOURCE/)"
NAME = "look_alikes"


def recognises(folder: Path) -> bool:
    """Whether the folder is one of look-alikes, by its name or that of the folder around it."""
    return NAME in {folder.name, folder.resolve().parent.name} and bool(_homes(folder))


def read(folder: Path) -> list[LabelledFrame]:
    """One non-exhaustive frame without a mitosis per patch. Raises DataSetError where a patch cannot be read."""
    frames = []
    for home in _homes(folder):
        for path in _images(home):
            image = read_patch(path, least=paper.PATCH_SIZE // 2)
            height, width = image.shape[:2]
            frame = LabelledFrame(
                name=path.stem,
                case=f"{NAME}/{home.name}",
                image=image,
                mitoses=points(),
                non_mitoses=points([(width / 2, height / 2)]),
                mpp=paper.WORKING_MPP,
                stain=lab_statistics([image]),
                source=f"look-alikes {home.name}",
                exhaustive=False,
                rim_known=False,
            )
            frames.append(frame)
    return frames


def _homes(folder: Path) -> list[Path]:
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    return [home for home in (folder, *below) if _images(home)]


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
