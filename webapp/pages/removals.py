"""Removing a slide, a person's work or a set from training."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.pages.administrators import administrators_only
from webapp.pages.asked import number_of, uuid_of
from webapp.retraining.models import LabelledSet, Removal
from webapp.retraining.provenance import affected_in_words
from webapp.slides.models import Slide


@administrators_only
def removal(request: HttpRequest) -> HttpResponse:
    """What the removal of a slide, a person's work or a set affects, and the form that makes it."""
    asked = {name: request.GET.get(name, "") for name in ("slide", "person", "labelled_set")}
    subject: dict[str, Any] = {}
    if asked["slide"]:
        subject["slide"] = get_object_or_404(Slide, pk=uuid_of(asked["slide"]))
    elif asked["person"]:
        subject["person"] = get_object_or_404(User, username=asked["person"])
    elif asked["labelled_set"]:
        subject["labelled_set"] = get_object_or_404(LabelledSet, pk=uuid_of(asked["labelled_set"]))
    removed = Removal.objects.filter(ended_at=None, **subject).select_related("by").first() if subject else None
    if gone := request.GET.get("removal", ""):
        removed = get_object_or_404(Removal, pk=number_of(gone))
    context = {
        "asked": asked,
        "affected": affected_in_words(removal=removed or Removal(**subject)) if removed or subject else None,
        "removed": removed,
        "slides": Slide.objects.filter(Q(figures__isnull=False) | Q(mined__isnull=False)).distinct().order_by("name"),
        "people": User.objects.order_by("username"),
        "sets": LabelledSet.objects.all(),
    }
    return render(request, "removal.html", context)
