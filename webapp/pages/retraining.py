"""Retraining on one page: training data, mining, training, calibration, comparison, removal. For administrators."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from detector import paper
from webapp.annotations.models import Figure, Label
from webapp.jobs.models import Job
from webapp.jobs.states import OPEN
from webapp.pages.administrators import administrators_only
from webapp.pages.pagination import MOST_CHOICES
from webapp.registry.models import ModelVersion, Promotion
from webapp.retraining.calibrations import scanners_judged
from webapp.retraining.models import (
    Judgement,
    LabelledFrame,
    LabelledSet,
    LockedCase,
    MitosisFreeSlide,
    Removal,
    ScannerCalibration,
    TrainingRun,
)
from webapp.retraining.plans import DEVICES, PLANS, plan_names
from webapp.retraining.reviewed_cases import cases_lockable
from webapp.retraining.selectors import local_labels, mining_runs_shown, precision_among, slides_unlabelled
from webapp.slides.models import Slide


@administrators_only
def retraining(request: HttpRequest) -> HttpResponse:
    """Retraining on one page: training data, locked test cases, mining runs, trainings, comparisons, removals."""
    locked = {case.name: case for case in LockedCase.objects.all()}
    cases = LabelledFrame.objects.filter(exhaustive=True).values("case").annotate(frames=Count("pk")).order_by("case")
    mining_runs: list[Any] = list(mining_runs_shown())
    active = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()
    context = {
        "sets": LabelledSet.objects.select_related("job", "by").annotate(frame_count=Count("frames")).order_by("-at"),
        "cases": [{**row, "lock": locked.get(row["case"])} for row in cases],
        "local_labels": local_labels(),
        "reviewed": cases_lockable(most=MOST_CHOICES),
        "active": active,
        "fewest_figures": paper.SCANNER_FIGURES,
        "scanners": scanners_judged() if active else [],
        "calibrations": ScannerCalibration.objects.select_related("job", "version", "parent").defer("figures"),
        "mitosis_free": MitosisFreeSlide.objects.select_related("slide__case", "by"),
        "mitosis_free_candidates": _mitosis_free_candidates(),
        "unlabelled": slides_unlabelled().count(),
        "versions": ModelVersion.objects.all(),
        "mining": [(run, precision_among(drawn=run.drawn)) for run in mining_runs],
        "trainings": TrainingRun.objects.select_related("job", "version").defer("manifest", "curve", "log"),
        "judgements": Judgement.objects.select_related("job", "version", "active").defer("result"),
        "promotions": Promotion.objects.select_related("version", "replaced", "by"),
        "removals": Removal.objects.select_related("slide", "person", "labelled_set", "by"),
        "chosen_mining": request.GET.get("mining", ""),
        "plans": PLANS.items(),
        "more_plans": [name for name in plan_names() if name not in PLANS],
        "devices": DEVICES,
        "busy": Job.objects.filter(slide=None, state__in=OPEN).exists(),
    }
    return render(request, "retraining.html", context)


def _mitosis_free_candidates() -> QuerySet[Slide]:
    """Ready slides without a mitotic verdict, not marked as mitosis-free yet."""
    ready = Slide.objects.filter(state=Slide.State.READY, mpp_x__isnull=False)
    marked = MitosisFreeSlide.objects.values("slide")
    with_mitoses = Figure.objects.filter(label=Label.MITOTIC).values("slide")
    return ready.exclude(Q(pk__in=with_mitoses) | Q(pk__in=marked)).order_by("name")[:MOST_CHOICES]
