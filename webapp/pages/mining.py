"""Choosing slides to mine, a mining run, and the training samples of a version."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.core.errors import InvalidInput
from webapp.pages.administrators import administrators_only
from webapp.pages.asked import number_of
from webapp.pages.pagination import MOST_CHOICES, SAMPLES, page_of
from webapp.registry.models import ModelVersion
from webapp.results.filters import Filters, scanners_of, slides_filtered
from webapp.retraining.models import MinedSample, MiningRun, TrainingRun
from webapp.retraining.provenance import samples_of
from webapp.retraining.selectors import precision_of, samples_to_judge, slides_unlabelled
from webapp.slides.models import Study


@administrators_only
def choose(request: HttpRequest) -> HttpResponse:
    """The unlabelled slides to choose from, with the filters of the list of slides."""
    studies, problem = Study.objects.order_by("name"), ""
    study = studies.filter(pk=number_of(request.GET.get("study", ""))).first()
    every = slides_unlabelled(study=study)
    try:
        filters = Filters.of({name: str(value) for name, value in request.GET.items() if name != "study"})
    except InvalidInput as error:
        filters, problem = Filters(), str(error)
    found = slides_filtered(slides=every, user=request.user, filters=filters, min_score=settings.DEFAULT_MIN_SCORE)
    most = number_of(request.GET.get("most", "")) or MOST_CHOICES
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


@administrators_only
def samples(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Every training sample of a version: label, slide, and the person who gave the verdict."""
    version: ModelVersion = get_object_or_404(ModelVersion.objects.select_related("parent"), pk=pk)
    training = TrainingRun.objects.filter(version=version).select_related("parent", "job__requested_by").first()
    page = page_of(request, samples_of(training=training) if training else [], SAMPLES)
    return render(request, "samples.html", {"version": version, "training": training, "page": page})


@administrators_only
def mining(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A mining run: the random draw to judge, and the gallery of all samples with their eight confidences."""
    run: MiningRun = get_object_or_404(MiningRun.objects.select_related("job", "model"), pk=pk)
    samples = run.samples.select_related("slide")
    page = page_of(request, samples, SAMPLES)
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
