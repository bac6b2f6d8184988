"""Model versions: the list, and one of them."""

from __future__ import annotations

import json
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.annotations.models import Run
from webapp.pages.pagination import ROWS
from webapp.registry.models import ModelVersion
from webapp.registry.privacy import card_for, names_shown
from webapp.registry.services import promotion_newest
from webapp.retraining.provenance import sources_of


@login_required
def models(request: HttpRequest) -> HttpResponse:
    """All model versions with their cards."""
    versions = [(version, names_shown(version=version, user=request.user)) for version in ModelVersion.objects.all()]
    return render(request, "models.html", {"models": versions})


@login_required
def model(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One model version: training data, metrics, comparisons, promotions and runs."""
    found = get_object_or_404(ModelVersion.objects.select_related("parent"), pk=pk)
    runs = Run.objects.visible_to(request.user).filter(model=found).select_related("slide")
    context = {
        "model": found,
        "sources": sources_of(version=found),
        "judgements": found.judgements.select_related("active").exclude(result=None).defer("result"),
        "promotion": promotion_newest(version=found),
        "promotions": found.promotions.select_related("by", "replaced"),
        "runs": runs[:ROWS],
        "run_count": runs.count(),
        "card": json.dumps(card_for(version=found, user=request.user), indent=2),
        "names": names_shown(version=found, user=request.user),
        "calibrations": found.calibrations.defer("figures"),
        "kinds": sorted((found.card.get("atypical") or {}).get("metrics_by_source", {}).items()),
        "shifts": sorted(found.card.get("scanner_shifts", {}).items()),
    }
    return render(request, "model.html", context)
