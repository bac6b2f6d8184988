"""Slides that came in by themselves, for administrators: what was found, and what became of it."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.intake.models import Arrival
from webapp.jobs.heartbeat import WATCHER, heartbeats
from webapp.pages.administrators import administrators_only
from webapp.pages.pagination import page_of
from webapp.slides.models import Slide


@administrators_only
def imports(request: HttpRequest) -> HttpResponse:
    """The files that were found, the newest first; `?state=` those in one state, `?search=` by a part of the path."""
    counts = dict(Arrival.objects.order_by().values_list("state").annotate(number=Count("pk")))
    refused = Arrival.objects.filter(state=Arrival.State.TAKEN, slide__state=Slide.State.REFUSED)
    state, search = request.GET.get("state", ""), request.GET.get("search", "").strip()
    found = refused if state == "refused" else Arrival.objects.filter(state=state) if state else Arrival.objects.all()
    if search:
        found = found.filter(name__icontains=search)
    here = heartbeats()
    context = {
        "page": page_of(request, found.select_related("slide__case__study")),
        "states": [(one.value, one.label, counts.get(one.value, 0)) for one in Arrival.State]
        + [("refused", "refused", refused.count())],
        "state": state,
        "search": search,
        "folder": settings.WATCH_FOLDER,
        "watcher": (here or {}).get(WATCHER),
    }
    return render(request, "imports.html", context)
