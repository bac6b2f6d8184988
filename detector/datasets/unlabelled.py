"""Images of tissue whose mitoses nobody has labelled: the paper's U (section 4), as far as it is images and not slides.

Layout: images of any name in the folder itself or in folders directly below it, one folder a source. Tiles smaller
than a window will do. Nothing says where their mitoses are, so they are mined, never background.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detector.datasets.rows import folder_and_below, images_in, read_labelled_image
from detector.errors import DataSetError
from detector.frames import Case, LabelledFrame, cases_of


def read_unlabelled(folder: Path) -> list[Case]:
    """One non-exhaustive frame without labels for each image, each a case of its own, called FOLDER/IMAGE.

    At the um/px that the image says, or at 0.25 where it says none. Raises DataSetError where there is no image, or
    where one cannot be read.
    """
    if not folder.is_dir():
        raise DataSetError(f"{folder} is not a folder; give one with images of tissue")
    frames = [_read(path, home) for home in folder_and_below(folder) for path in images_in(home)]
    if not frames:
        raise DataSetError(f"{folder} holds no image, and neither do the folders directly below it")
    return cases_of(frames)


def _read(path: Path, home: Path) -> LabelledFrame:
    case = f"{home.name}/{path.stem}"
    frame = read_labelled_image(path, case=case, source=home.name, mitoses=(), non_mitoses=())
    return replace(frame, exhaustive=False, rim_known=False)
