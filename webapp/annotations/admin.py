from __future__ import annotations

from typing import cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.annotations.models import Run
from webapp.annotations.services import detection_request
from webapp.jobs.admin import for_each
from webapp.slides.admin import OfStudies
from webapp.slides.models import Slide


@admin.register(Run)
class RunAdmin(OfStudies):
    """A run is never edited."""

    list_display = ["slide", "model", "candidate_count", "device", "precision", "code_version", "created_at"]
    list_filter = ["model"]
    search_fields = ["slide__name", "model_sha256"]
    list_select_related = ["slide", "model"]
    fields = readonly_fields = (
        "slide", "job", "model", "model_sha256", "parameters", "mpp_x", "mpp_y", "code_version", "device", "precision",
        "windows_total", "windows_skipped", "candidate_count", "created_at",
    )  # fmt: skip
    actions = ["again"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Detect again with the active version", permissions=["change"])
    def again(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """One new run on each of their slides; these runs stay."""
        slides = Slide.objects.filter(runs__in=self.managed(request, queryset)).distinct()
        by = cast(User, request.user)
        for_each(self, request, slides, lambda slide: detection_request(slide=slide, by=by), "requested")
