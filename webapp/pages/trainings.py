"""A training run."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.pages.administrators import administrators_only
from webapp.retraining.models import TrainingRun


@administrators_only
def training(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Curves and log while it runs, stop and resume, training data and plan."""
    found: TrainingRun = get_object_or_404(TrainingRun.objects.select_related("job", "version", "parent"), pk=pk)
    return render(request, "training.html", {"training": found, "manifest": found.manifest, "job": found.job})
