"""Reading the image of a labelled frame at the working resolution, with its labels scaled along."""

from __future__ import annotations

from pathlib import Path

from detector import paper
from detector.errors import DataSetError, SlideError
from detector.hpf import Hpf, Points, Rgb, lab_statistics, points
from detector.slide import WorkingFrame, open_slide
from detector.slide.tissue import tissue_mask

_FRAME = 2048  # px, about the size of a labelled frame


def read_frame(
    path: Path, *, labels: Path, case: str, source: str, mpp: float, mitoses: Points, non_mitoses: Points
) -> Hpf:
    """One frame file as an Hpf. mpp: um/px of the file. mitoses, non_mitoses: (x, y) in pixels of the file, as in
    the file `labels`.

    Raises DataSetError where the image cannot be read or a label lies outside of it.
    """
    try:
        with open_slide(path) as slide:
            frame = WorkingFrame(slide, (mpp, mpp))
            image = frame.read(0, 0, *frame.size)
            width, height = slide.size
    except SlideError as error:
        raise DataSetError(str(error)) from error
    for x, y in [*mitoses, *non_mitoses]:
        if not (0 <= x <= width and 0 <= y <= height):
            raise DataSetError(
                f"{labels}: the label at ({x:g}, {y:g}) lies outside of {path.name}, {width} x {height} px"
            )
    return Hpf(
        name=path.stem,
        case=case,
        image=image,
        mitoses=mitoses / frame.scale,
        non_mitoses=non_mitoses / frame.scale,
        mpp=frame.mpp[0],
        stain=lab_statistics([image]),
        source=source,
    )


def read_mitosis_free(path: Path, *, least_tissue: float = 0.5) -> list[Hpf]:
    """A slide that is known to hold no mitosis, cut into frames; those with a smaller share of tissue are left out.

    Raises DataSetError where it cannot be read or does not say its um/px.
    """
    try:
        with open_slide(path) as slide:
            if slide.mpp is None:
                raise DataSetError(f"{path} does not say its um per pixel; such a slide cannot be trained on")
            frame = WorkingFrame(slide, slide.mpp)
            hpfs = []
            for y in range(0, frame.size[1], _FRAME):
                for x in range(0, frame.size[0], _FRAME):
                    image = frame.read(x, y, min(_FRAME, frame.size[0] - x), min(_FRAME, frame.size[1] - y))
                    if min(image.shape[:2]) >= paper.WINDOW_SIZE and tissue_mask(image).mean() > least_tissue:
                        hpfs.append(_mitosis_free(f"{path.stem}_{x}_{y}", path.stem, image, frame.mpp[0]))
    except SlideError as error:
        raise DataSetError(str(error)) from error
    return hpfs


def _mitosis_free(name: str, case: str, image: Rgb, mpp: float) -> Hpf:
    return Hpf(
        name=name,
        case=case,
        image=image,
        mitoses=points(),
        non_mitoses=points(),
        mpp=mpp,
        stain=lab_statistics([image]),
        source="mitosis-free",
    )
