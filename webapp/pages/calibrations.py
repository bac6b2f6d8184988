"""A calibration for a scanner."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.annotations.models import Label
from webapp.pages.administrators import administrators_only
from webapp.retraining.models import Judgement, ScannerCalibration
from webapp.retraining.types import CalibrationFigure


@administrators_only
def calibration(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The shift, what it rests on, and how the version that came of it compares."""
    rows = ScannerCalibration.objects.select_related("job__requested_by", "version", "parent")
    found: ScannerCalibration = get_object_or_404(rows, pk=pk)
    figures = cast(list[CalibrationFigure], found.figures)
    mitotic = [one for one in figures if one["label"] == Label.MITOTIC]
    context = {
        "calibration": found,
        "job": found.job,
        "judgements": Judgement.objects.filter(version=found.version).select_related("active", "job").defer("result")
        if found.version
        else [],
        "counts": {
            "figures": len(figures),
            "mitotic": len(mitotic),
            "non_mitotic": len(figures) - len(mitotic),
            "missed": sum(one["score"] is None for one in mitotic),
            "slides": len({one["slide"] for one in figures}),
            "cases": len({one["case"] for one in figures}),
            "people": len({one["by"] for one in figures}),
        },
    }
    return render(request, "calibration.html", context)
