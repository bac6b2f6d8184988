"""What a report says, as data, and the hash that is printed on it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder

from webapp.results.findings import Findings


def report_facts(*, found: Findings, version: int, reader: User, signed_at: datetime) -> dict[str, Any]:
    """Plain JSON: the count as the API gives it, the figures of the hotspot, the slide, the reader, the time."""
    slide = found.slide
    in_hotspot = [mark for mark in found.marks if mark.hotspot == 1]
    facts = {
        "version": version,
        "reader": {"username": reader.get_username(), "name": reader.get_full_name()},
        "signed_at": signed_at.isoformat(timespec="seconds"),
        "slide": {
            "name": slide.name,
            "case": slide.case.identifier,
            "study": slide.case.study.name,
            "sha256": slide.sha256,
            "size": [slide.width, slide.height],
            "mpp_source": slide.mpp_source,
        },
        "count": found.count,
        "figures": [{"x": m.x, "y": m.y, "score": m.score, "label": m.label} for m in in_hotspot],
        "use": "research use only",
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts, cls=DjangoJSONEncoder))
    return plain


def facts_sha256(facts: dict[str, Any]) -> str:
    """SHA-256 of the facts as JSON with sorted keys and without spaces."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def same_but_for_the_signature(facts: dict[str, Any], others: dict[str, Any]) -> bool:
    """Whether two reports say the same of the slide."""
    names = ("slide", "count", "figures")
    return all(facts[name] == others[name] for name in names)
