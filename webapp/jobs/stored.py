"""What jobs and shards keep as JSON: the parameters of each kind of job, the facts of a shard. The keys are stored."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from webapp.core.typed_json import from_json


@dataclass(frozen=True)
class _Stored:
    """To and from JSON by the names of the fields; None is not stored, and keys of another version are not read."""

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v is not None}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Raises TypeError where a field is missing that has no default."""
        return from_json(cls, stored)


@dataclass(frozen=True)
class DetectParameters(_Stored):
    """model: primary key of the version. floor: candidates of a lower score are not kept."""

    model: str
    floor: float


@dataclass(frozen=True)
class ImportParameters(_Stored):
    """Of an ingest job without a slide. set: primary key of the labelled set."""

    set: str


@dataclass(frozen=True)
class MineParameters(_Stored):
    """slides: primary keys, in the order of the shards."""

    slides: tuple[str, ...]


# Trainings, judgements and calibrations have rows of their own.
Parameters = DetectParameters | ImportParameters | MineParameters


@dataclass(frozen=True)
class ShardFacts(_Stored):
    """What a shard was computed on, and at what cost; the last two when it is done.

    cascade, fit: of a detection alone; fit: how the version fits the slide, for the stamp of the run (`SlideFit`).
    """

    device: str | None = None
    precision: str | None = None
    cascade: bool | None = None
    fit: dict[str, Any] | None = None
    seconds: float | None = None
    peak_memory_mb: int | None = None
