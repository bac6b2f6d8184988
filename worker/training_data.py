"""From a frozen manifest to the frames and patches that a training takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from detector.datasets import read_dataset
from detector.errors import DataSetError
from detector.frames import Case, LabelledFrame, cases_of, points
from detector.mine import mined_patch, verdict_patch
from detector.slide import WorkingFrame
from webapp.retraining.models import LabelledSet
from webapp.retraining.sets import folder_hash
from webapp.retraining.types import Manifest, ManifestFigure, ManifestSample
from webapp.slides.models import Slide
from worker.frames import working_frame

_Row = TypeVar("_Row", ManifestFigure, ManifestSample)


def read_manifest(manifest: Manifest) -> tuple[list[Case], list[Case], list[LabelledFrame]]:
    """Cases to learn from, cases to measure the curves on, and mined patches.

    Raises DataSetError where a set or slide is gone or is no longer the one that was frozen.
    """
    frames = [frame for part in manifest["sets"] for frame in read_set(part["id"], part["sha256"], part["cases"])]
    validation = set(manifest["validation"])
    judged, mined = _figures(manifest), _mined(manifest)
    learnt = [*(frame for frame in frames if frame.case not in validation), *judged]
    return cases_of(learnt), cases_of(frame for frame in frames if frame.case in validation), mined


def read_set(pk: str, sha256: str, cases: Collection[str]) -> list[LabelledFrame]:
    """The frames of some cases of a labelled set."""
    labelled_set = LabelledSet.objects.filter(pk=pk).first()
    if labelled_set is None:
        raise DataSetError(f"the labelled set {pk} is not there any more; train without it")
    if folder_hash(labelled_set.folder) != sha256:
        raise DataSetError(f"the files of the labelled set {labelled_set} have changed since they were imported")
    return [frame for case in read_dataset(labelled_set.folder) if case.name in cases for frame in case.frames]


def _figures(manifest: Manifest) -> list[LabelledFrame]:
    patches = []
    for pk, rows in _by_slide(manifest["figures"]):
        mitoses = points([(row["x"], row["y"]) for row in rows if row["label"] == "mitotic"])
        with _opened(manifest, pk) as frame:
            for row in rows:
                patch = verdict_patch(
                    frame, (row["x"], row["y"]), mitoses, mitotic=row["label"] == "mitotic", case=row["case"],
                    name=f"verdict-{row['id']}", source="verdicts",
                )  # fmt: skip
                patches.append(replace(patch, atypical=row.get("atypical")))
    return patches


def _mined(manifest: Manifest) -> list[LabelledFrame]:
    patches = []
    for pk, rows in _by_slide(manifest["mined"]):
        with _opened(manifest, pk) as frame:
            patches += [mined_patch(frame, (row["x"], row["y"]), slide=row["case"]) for row in rows]
    return patches


def _by_slide(rows: Sequence[_Row]) -> list[tuple[str, list[_Row]]]:
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row["slide"], []).append(row)
    return sorted(groups.items())


@contextmanager
def _opened(manifest: Manifest, pk: str) -> Iterator[WorkingFrame]:
    known = manifest["slides"].get(pk)
    slide = Slide.objects.filter(pk=pk).first()
    if slide is None or slide.mpp is None:
        name = known["name"] if known else pk
        raise DataSetError(f"the slide {name} is not there any more; ask for the training anew")
    if known is None or slide.sha256 != known["sha256"]:
        raise DataSetError(f"the slide {slide} is not the file that the training was asked for with; ask for it anew")
    with working_frame(slide) as frame:
        yield frame
