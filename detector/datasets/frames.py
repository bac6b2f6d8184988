"""Reading the image of a labelled frame at the working resolution, with its labels scaled along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from detector import paper
from detector.errors import DataSetError, SlideError
from detector.frames import LabelledFrame, Rgb, lab_statistics, points
from detector.slide import WorkingFrame, open_slide
from detector.slide.tissue import tissue_mask


class Label(NamedTuple):
    """One labelled figure. x, y: px of its image. where: the file that says so, and the line or row of it."""

    x: float
    y: float
    where: str


def read_frame(
    path: Path, *, case: str, source: str, mpp: float, mitoses: Sequence[Label], non_mitoses: Sequence[Label] = ()
) -> LabelledFrame:
    """One frame file as a LabelledFrame. mpp: um/px of the file.

    Raises DataSetError where the image cannot be read or a label lies outside of it.
    """
    try:
        with open_slide(path) as slide:
            frame = WorkingFrame(slide, (mpp, mpp))
            image = frame.read(0, 0, *frame.size)
            width, height = slide.size
    except SlideError as error:
        raise DataSetError(str(error)) from error
    for x, y, where in [*mitoses, *non_mitoses]:
        if not (0 <= x <= width and 0 <= y <= height):
            raise DataSetError(
                f"{where}: the label at ({x:g}, {y:g}) lies outside of {path.name}, {width} x {height} px"
            )
    return LabelledFrame(
        name=path.stem,
        case=case,
        image=image,
        mitoses=points((label.x, label.y) for label in mitoses) / frame.scale,
        non_mitoses=points((label.x, label.y) for label in non_mitoses) / frame.scale,
        mpp=frame.mpp[0],
        stain=lab_statistics([image]),
        source=source,
    )


def read_mitosis_free(path: Path, *, least_tissue: float = paper.FRAME_TISSUE) -> list[LabelledFrame]:
    """A slide that is known to hold no mitosis, cut into frames; those with a smaller share of tissue are left out.

    Raises DataSetError where it cannot be read or does not say its um/px.
    """
    try:
        with open_slide(path) as slide:
            if slide.mpp is None:
                raise DataSetError(f"{path} does not say its um per pixel; such a slide cannot be trained on")
            frame = WorkingFrame(slide, slide.mpp)
            frames = []
            for y in range(0, frame.size[1], paper.FRAME_SIZE):
                for x in range(0, frame.size[0], paper.FRAME_SIZE):
                    image = frame.read(
                        x, y, min(paper.FRAME_SIZE, frame.size[0] - x), min(paper.FRAME_SIZE, frame.size[1] - y)
                    )
                    if (
                        min(image.shape[:2]) >= paper.WINDOW_SIZE
                        and tissue_mask(image, frame.mpp[0]).mean() > least_tissue
                    ):
                        frames.append(_mitosis_free(f"{path.stem}_{x}_{y}", path.stem, image, frame.mpp[0]))
    except SlideError as error:
        raise DataSetError(str(error)) from error
    return frames


def _mitosis_free(name: str, case: str, image: Rgb, mpp: float) -> LabelledFrame:
    return LabelledFrame(
        name=name,
        case=case,
        image=image,
        mitoses=points(),
        non_mitoses=points(),
        mpp=mpp,
        stain=lab_statistics([image]),
        source="mitosis-free",
    )
