"""Choosing slides to mine, a mining run, and the samples that a version learnt from."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.core.errors import InvalidInput
from webapp.pages.administrators import _for_administrators
from webapp.registry.models import ModelVersion
from webapp.results.filters import Filters, scanners_of, slides_filtered
from webapp.retraining.models import MinedSample, MiningRun, TrainingRun
from webapp.retraining.provenance import samples_of
from webapp.retraining.selectors import precision_of, samples_to_judge, slides_unlabelled
from webapp.slides.models import Study

_ROWS = 60
_MOST_CHOICES = 200  # slides that a page lets choose from at once, unless more are asked for


@_for_administrators
def choose(request: HttpRequest) -> HttpResponse:
    """Which unlabelled slides to mine: filtered as the list of slides is, and single ones left out."""
    studies, problem = Study.objects.order_by("name"), ""
    study = studies.filter(pk=request.GET["study"]).first() if request.GET.get("study", "").isdigit() else None
    every = slides_unlabelled(study=study)
    try:
        filters = Filters.of({name: str(value) for name, value in request.GET.items() if name != "study"})
    except InvalidInput as error:
        filters, problem = Filters(), str(error)
    found = slides_filtered(slides=every, user=request.user, filters=filters, min_score=settings.DEFAULT_MIN_SCORE)
    most = int(asked) if (asked := request.GET.get("most", "")).isdigit() and int(asked) else _MOST_CHOICES
    context = {
        "studies": studies,
        "study": study,
        "filters": filters,
        "problem": problem,
        "scanners": scanners_of(every),
        "most": most,
        "count": found.count(),
        "slides": found[:most],
        "versions": ModelVersion.objects.all(),
        "defaults": {"first_look": settings.MINING_FIRST_LOOK, "agreement": settings.MINING_AGREEMENT},
    }
    return render(request, "choose.html", context)


@_for_administrators
def samples(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Every sample that a version learnt from: what it is, of which slide, and whose word it is."""
    version: ModelVersion = get_object_or_404(ModelVersion.objects.select_related("parent"), pk=pk)
    training = TrainingRun.objects.filter(version=version).select_related("parent", "job__requested_by").first()
    page = Paginator(samples_of(training=training) if training else [], _ROWS).get_page(request.GET.get("page"))
    return render(request, "samples.html", {"version": version, "training": training, "page": page})


@_for_administrators
def mining(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A mining run: the samples drawn by chance, to judge, and the gallery of all, with the eight scores."""
    run: MiningRun = get_object_or_404(MiningRun.objects.select_related("job", "model"), pk=pk)
    samples = run.samples.select_related("slide")
    page = Paginator(samples, _ROWS).get_page(request.GET.get("page"))
    kept = Count("samples", filter=Q(samples__rejected=MinedSample.Rejected.NO))
    context = {
        "run": run,
        "precision": precision_of(run=run),
        "drawn": samples_to_judge(run=run),
        "page": page,
        "slides": run.slides.select_related("slide"),
        "kept": MiningRun.objects.filter(pk=run.pk).aggregate(kept=kept)["kept"],
    }
    return render(request, "mining.html", context)
