"""The UIDs of slides and annotations in DICOM: those of the file, or ones that stay the same."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid5

from webapp.slides.models import Slide


def uid_of(slide: Slide, properties: Mapping[str, str], name: str) -> str:
    """A UID of a slide, such as SOPInstanceUID: that of its file, or one that stays the same."""
    return properties.get(f"dicom.{name}") or made_uid(slide.pk, name)


def annotation_series_uid(run: UUID) -> str:
    """The series of the annotation objects of a run."""
    return made_uid(run, "annotations")


def made_uid(pk: UUID, name: str) -> str:
    """A UID that follows from an id and a name (PS3.5 B.2: a UUID under 2.25)."""
    return f"2.25.{uuid5(pk, name).int}"
