from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.reports.models import Report
from webapp.slides.admin import OfStudies


@admin.register(Report)
class ReportAdmin(OfStudies):
    """Nobody changes or deletes a signed report."""

    list_display = ["slide", "version", "signed_by", "signed_at", "sha256"]
    list_select_related = ["slide", "signed_by"]
    search_fields = ["slide__name", "sha256"]
    fields = readonly_fields = ("slide", "version", "signed_by", "signed_at", "sha256", "facts")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        return super().get_queryset(request).defer("pdf")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
