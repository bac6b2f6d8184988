"""The settings in force and the room that is taken, for administrators."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.core import environment
from webapp.pages.administrators import administrators_only
from webapp.slides.models import Slide, Study, Upload

_MOST_PEOPLE = 50
_SETTING = re.compile(r"^# ?(\w+)=(\S*)\s*(.*)$")


@dataclass(frozen=True)
class SettingInForce:
    """value: None of a secret. origin: default, environment or a file. what: it is for, as .env.example says."""

    name: str
    value: str | None
    origin: str
    what: str


@administrators_only
def server(request: HttpRequest) -> HttpResponse:
    """Each setting with where it comes from; the disk, and what studies and people take of it."""
    shown, what = environment.asked(), _descriptions()
    studies = Study.objects.annotate(
        slides=Count("cases__slides"), bytes=Sum("cases__slides__bytes", filter=~Q(cases__slides__state="refused"))
    )
    disk = shutil.disk_usage(settings.DATA_DIR)
    context = {
        "settings": [
            SettingInForce(name, shown.get(name), origin, what.get(name, ""))
            for name, origin in environment.origins_of_settings().items()
        ],
        "disk": {"free": disk.free, "total": disk.total, "folder": settings.DATA_DIR},
        "studies": studies.order_by("name"),
        "people": _people(),
        "quota": settings.USER_QUOTA_BYTES,
    }
    return render(request, "server.html", context)


def _people() -> list[dict[str, Any]]:
    """Who takes the most: the person, slides, and bytes as they count against the quota (`uploads.bytes_used`)."""
    kept = Slide.objects.exclude(state=Slide.State.REFUSED).exclude(uploaded_by=None).order_by()
    slides = {row["uploaded_by"]: row for row in kept.values("uploaded_by").annotate(n=Count("pk"), size=Sum("bytes"))}
    unfinished = Upload.objects.unfinished().order_by().values("user").annotate(size=Sum("size"))
    awaited = {row["user"]: row["size"] for row in unfinished}
    none = {"n": 0, "size": 0}
    rows = [
        {
            "person": person,
            "slides": slides.get(pk, none)["n"],
            "used": slides.get(pk, none)["size"] + awaited.get(pk, 0),
        }
        for pk, person in User.objects.in_bulk({*slides, *awaited}).items()
    ]
    return sorted(rows, key=lambda row: -row["used"])[:_MOST_PEOPLE]


@cache
def _descriptions() -> dict[str, str]:
    path = Path(settings.BASE_DIR) / ".env.example"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {found[1]: found[3] for line in lines if (found := _SETTING.match(line))}
