"""The comparison of a candidate with the active version."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.pages.administrators import administrators_only
from webapp.registry.services import promotion_newest
from webapp.retraining.models import Judgement
from webapp.slides.models import Slide


@administrators_only
def judgement(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A candidate and the active version side by side, with result and reason."""
    found: Judgement = get_object_or_404(Judgement.objects.select_related("job", "version", "active"), pk=pk)
    result = found.result or {}
    names = {"candidate": str(found.version), "active": str(found.active)} if result else {}
    curves = [
        {
            "name": name,
            "points": result[side]["curve"],
            "at_half": {k: result[side][k] for k in ("recall", "precision")},
        }
        for side, name in names.items()
    ]
    context = {
        "judgement": found,
        "promotion": promotion_newest(version=found.version),
        "result": result,
        "curves": curves,
        "at_half": {
            side: {"value": result[side]["f1_at_0.5"], "interval": result[side]["f1_at_0.5_interval"]} for side in names
        },
        "sources": _by_source(result),
        "differences": [
            (version, [(number, one) for number, one in enumerate(result["differences"]) if one["by"] == side])
            for side, version in (("candidate", found.version), ("active", found.active))
        ]
        if result
        else [],
        "slides": Slide.objects.filter(runs__isnull=False, state=Slide.State.READY).distinct().order_by("name"),
    }
    return render(request, "judgement.html", context)


@administrators_only
def difference(request: HttpRequest, pk: UUID, number: int) -> FileResponse:
    """The crop of a detection that only one of the two makes."""
    found: Judgement = get_object_or_404(Judgement.objects.defer("result"), pk=pk)
    try:
        return FileResponse((found.folder / f"{number}.jpeg").open("rb"), content_type="image/jpeg")
    except OSError as error:
        raise Http404 from error


def _by_source(result: dict[str, Any]) -> list[dict[str, Any]]:
    """For each source (laboratory or scanner) both versions and their difference in max F1."""
    rows = []
    for source, candidate in result["candidate"]["by_source"].items() if result else ():
        active = result["active"]["by_source"][source]
        difference = candidate["max_f1"] - active["max_f1"]
        rows.append({"source": source, "candidate": candidate, "active": active, "difference": difference})
    return rows
