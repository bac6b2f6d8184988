"""The card (JSON) beside a file of weights: what they have learnt from, and the hash of the file. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detector.errors import WeightsError
from detector.frames import Case


def data_summary(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Sources of some cases with their counts, for a card."""
    described = []
    for source in sorted({frame.source for case in cases for frame in case.frames}):
        frames = [frame for case in cases for frame in case.frames if frame.source == source]
        names = sorted({frame.case for frame in frames})
        look_alikes = sum(len(frame.non_mitoses) for frame in frames)
        described.append(
            {
                "source": source,
                "cases": len(names),
                "case_names": names if len(names) <= 20 else [*names[:3], "..."],
                "frames": len(frames),
                "mitoses": sum(frame.mitosis_count for frame in frames),
                **({"look_alikes": look_alikes} if look_alikes else {}),
            }
        )
    return described


def training_cases(card: dict[str, Any]) -> set[str]:
    """Names of all cases that weights with this card, and those that they began with, have learnt from.

    Cards from before `cases_learnt` was kept go one parent back, and name three of many cases.
    """
    parts = [*(card.get("data") or []), *((card.get("parent") or {}).get("data") or [])]
    named = {name for part in parts for name in part.get("case_names") or []} - {"..."}
    return named | set(card.get("cases_learnt") or [])


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_card(path: Path) -> dict[str, Any]:
    """The card beside a weights file; its hash must be that of the file. Raises WeightsError."""
    card_path = path.with_suffix(".json")
    try:
        card = json.loads(card_path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"the card {card_path} beside the weights cannot be read: {error}") from error
    if not isinstance(card, dict) or card.get("sha256") != sha256_of(path):
        raise WeightsError(f"{path} is not the file that its card {card_path.name} describes (SHA-256 differs)")
    try:
        training_cases(card)
    except (AttributeError, KeyError, TypeError) as error:
        raise WeightsError(f"the card {card_path} does not say what was learnt from, as training writes it") from error
    return card


def refuse_training_cases(path: Path, names: set[str]) -> None:
    """ValueError where weights have learnt from one of these cases: they know what is hidden or held out of it."""
    if known := sorted(names & training_cases(read_card(path))):
        raise ValueError(f"{path} has learnt from {', '.join(known)}, so it cannot be judged on them")
