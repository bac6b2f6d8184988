"""AtNorM (Bertram et al. 2025): patches of 128 x 128 px, each centred on a mitosis, sorted into normal and atypical.

Layout: `normal_*.jpg` and `atypical_*.jpg` in the folder itself or in folders directly below it (`br/`: TCGA breast,
`md/`: MIDOG++). Slide and position are not known: each folder is one case, each patch has its own stain, and as nobody
knows which other mitoses a patch holds, its rim is no background.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from detector import paper
from detector.datasets.rows import folder_and_below, images_in, read_patches
from detector.frames import LabelledFrame

LAYOUT = "AtNorM (patches normal_1.jpg and atypical_2.jpg, in the folder or in br/ and md/)"

_PATCH = re.compile(r"(normal|atypical)_\w+")


def recognises(folder: Path) -> bool:
    """Whether the folder looks like AtNorM."""
    return bool(own_folders(folder))


def read(folder: Path) -> list[LabelledFrame]:
    """One non-exhaustive frame per patch, which says whether its mitosis is atypical.

    Raises DataSetError where a patch cannot be read.
    """
    return [
        replace(frame, atypical=frame.name.startswith("atypical"))
        for home in own_folders(folder)
        for frame in read_patches(
            home, source=f"AtNorM {home.name}", case=f"AtNorM/{home.name}", mitotic=True, least=paper.PATCH_SIZE
        )
    ]


def own_folders(folder: Path) -> list[Path]:
    """The folders with its patches: itself or those directly below. All images of such a folder are patches."""
    return [home for home in folder_and_below(folder) if (images := images_in(home)) and all(map(_is_patch, images))]


def _is_patch(path: Path) -> bool:
    return _PATCH.fullmatch(path.stem) is not None
