"""A training as it goes on."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.pages.administrators import _for_administrators
from webapp.retraining.models import TrainingRun


@_for_administrators
def training(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A training: curves and log as they come, stop and go on, and what it learns from."""
    found: TrainingRun = get_object_or_404(TrainingRun.objects.select_related("job", "version", "parent"), pk=pk)
    return render(request, "training.html", {"training": found, "manifest": found.manifest, "job": found.job})
