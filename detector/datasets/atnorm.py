"""AtNorM (Bertram et al. 2025): patches of 128 x 128 px, each centred on a mitosis, sorted into normal and atypical.

Layout: `normal_*.jpg` and `atypical_*.jpg` in the folder itself or in folders directly below it (`br/`: TCGA breast,
`md/`: MIDOG++). Slide and position are not known: each folder is one case, each patch has its own stain, and as nobody
knows which other mitoses a patch holds, its rim is no background.
"""

from __future__ import annotations

import re
from pathlib import Path

from detector import paper
from detector.datasets.rows import IMAGES, read_patch
from detector.frames import LabelledFrame, lab_statistics, points

LAYOUT = "AtNorM (patches normal_1.jpg and atypical_2.jpg, in the folder or in br/ and md/)"

_PATCH = re.compile(r"(normal|atypical)_\w+")


def recognises(folder: Path) -> bool:
    """Whether the folder looks like AtNorM."""
    return bool(_homes(folder))


def read(folder: Path) -> list[LabelledFrame]:
    """One non-exhaustive LabelledFrame per patch. Raises DataSetError where a patch cannot be read."""
    frames = []
    for home in _homes(folder):
        for path in _patches(home):
            image = read_patch(path)
            height, width = image.shape[:2]
            frame = LabelledFrame(
                name=path.stem,
                case=f"AtNorM/{home.name}",
                image=image,
                mitoses=points([(width / 2, height / 2)]),
                non_mitoses=points(),
                mpp=paper.WORKING_MPP,
                stain=lab_statistics([image]),
                source=f"AtNorM {home.name}",
                exhaustive=False,
                rim_known=False,
            )
            frames.append(frame)
    return frames


def _homes(folder: Path) -> list[Path]:
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    return [home for home in (folder, *below) if _patches(home)]


def _patches(folder: Path) -> list[Path]:
    """The images of a folder, if all of them are patches."""
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    return images if all(_PATCH.fullmatch(path.stem) for path in images) else []
