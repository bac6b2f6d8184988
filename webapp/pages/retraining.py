"""The pages of the loop: what is known, mining, training, comparing, removing. For administrators."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render

from webapp.annotations.models import Figure, Label
from webapp.core.errors import InvalidInput
from webapp.registry.models import ModelVersion, Promotion
from webapp.results.filters import Filters, scanners_of, slides_filtered
from webapp.retraining.models import (
    Judgement,
    LabelledFrame,
    LabelledSet,
    LockedCase,
    MinedSample,
    MiningRun,
    MitosisFreeSlide,
    Removal,
    TrainingRun,
)
from webapp.retraining.plans import DEVICES, plan_names
from webapp.retraining.provenance import affected_in_words, samples_of
from webapp.retraining.selectors import labels_made_here, precision_of, samples_to_judge, slides_unlabelled
from webapp.slides.models import Slide, Study

_ROWS = 60
_MOST_CHOICES = 200  # slides that a page lets choose from at once, unless more are asked for


def _for_administrators(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not getattr(request.user, "is_superuser", False):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


@_for_administrators
def loop(request: HttpRequest) -> HttpResponse:
    """The whole loop on one page: sets, locked cases, mining runs, trainings, judgements, removals."""
    locked = {case.name: case for case in LockedCase.objects.all()}
    cases = LabelledFrame.objects.filter(exhaustive=True).values("case").annotate(frames=Count("pk")).order_by("case")
    context = {
        "sets": LabelledSet.objects.select_related("job", "by").annotate(frame_count=Count("frames")),
        "cases": [{**row, "lock": locked.get(row["case"])} for row in cases],
        "made_here": labels_made_here(),
        "free": MitosisFreeSlide.objects.select_related("slide__case", "by"),
        "may_be_free": _may_be_free(),
        "unlabelled": slides_unlabelled().count(),
        "versions": ModelVersion.objects.all(),
        "mining": [(run, precision_of(run=run)) for run in MiningRun.objects.select_related("job", "model")],
        "trainings": TrainingRun.objects.select_related("job", "version").defer("manifest", "curve"),
        "judgements": Judgement.objects.select_related("job", "version", "active").defer("result"),
        "promotions": Promotion.objects.select_related("version", "replaced", "by"),
        "removals": Removal.objects.select_related("slide", "person", "labelled_set", "by"),
        "chosen_mining": request.GET.get("mining", ""),
        "plans": plan_names(),
        "devices": DEVICES,
    }
    return render(request, "loop.html", context)


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


@_for_administrators
def training(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A training: curves and log as they come, stop and go on, and what it learns from."""
    found: TrainingRun = get_object_or_404(TrainingRun.objects.select_related("job", "version", "parent"), pk=pk)
    return render(request, "training.html", {"training": found, "manifest": found.manifest, "job": found.job})


@_for_administrators
def judgement(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A candidate and the active version side by side, with verdict and reason."""
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


@_for_administrators
def difference(request: HttpRequest, pk: UUID, number: int) -> FileResponse:
    """The crop of a figure on which the two differ."""
    found: Judgement = get_object_or_404(Judgement.objects.defer("result"), pk=pk)
    try:
        return FileResponse((found.folder / f"{number}.jpeg").open("rb"), content_type="image/jpeg")
    except OSError as error:
        raise Http404 from error


@_for_administrators
def removal(request: HttpRequest) -> HttpResponse:
    """What would be affected if a slide, a person's work or a set were removed; and the button that does it."""
    asked = {name: request.GET.get(name, "") for name in ("slide", "person", "labelled_set")}
    subject: dict[str, Any] = {}
    if asked["slide"]:
        subject["slide"] = get_object_or_404(Slide, pk=asked["slide"])
    elif asked["person"]:
        subject["person"] = get_object_or_404(User, username=asked["person"])
    elif asked["labelled_set"]:
        subject["labelled_set"] = get_object_or_404(LabelledSet, pk=asked["labelled_set"])
    context = {
        "asked": asked,
        "affected": _affected(subject) if subject else None,
        "slides": Slide.objects.filter(Q(figures__isnull=False) | Q(mined__isnull=False)).distinct().order_by("name"),
        "people": User.objects.order_by("username"),
        "sets": LabelledSet.objects.all(),
    }
    return render(request, "removal.html", context)


def _by_source(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each laboratory or scanner of the locked cases both sides, and by how much max F1 differs."""
    rows = []
    for source, candidate in result["candidate"]["by_source"].items() if result else ():
        active = result["active"]["by_source"][source]
        difference = candidate["max_f1"] - active["max_f1"]
        rows.append({"source": source, "candidate": candidate, "active": active, "difference": difference})
    return rows


def _may_be_free() -> QuerySet[Slide]:
    """Slides that could be said to be without mitoses."""
    ready = Slide.objects.filter(state=Slide.State.READY, mpp_x__isnull=False)
    marked = MitosisFreeSlide.objects.values("slide")
    with_mitoses = Figure.objects.filter(label=Label.MITOTIC).values("slide")
    return ready.exclude(Q(pk__in=with_mitoses) | Q(pk__in=marked)).order_by("name")[:_MOST_CHOICES]


def _affected(subject: dict[str, Any]) -> dict[str, Any]:
    """What a removal affects, and the removal where it has been made."""
    removal = Removal.objects.filter(ended_at=None, **subject).select_related("by").first()
    return {**affected_in_words(removal=removal or Removal(**subject)), "removed": removal}
