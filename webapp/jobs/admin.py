from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.errors import DomainError
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import job_cancel, job_retry
from webapp.jobs.states import OPEN, State


class ShardInline(admin.TabularInline[Shard, Job]):
    model = Shard
    extra = 0
    can_delete = False
    fields = readonly_fields = (
        "index", "state", "attempt", "worker", "started_at", "lease_until", "windows_done", "windows_total",
        "windows_skipped", "facts",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Job)
class JobAdmin(admin.ModelAdmin[Job]):
    list_display = ["kind", "slide", "state", "priority", "requested_by", "created_at", "started_at", "ended_at"]
    list_filter = ["kind", "state", "priority"]
    search_fields = ["slide__name", "id"]
    list_select_related = ["slide", "requested_by"]
    fields = readonly_fields = (
        "kind", "slide", "state", "priority", "turn", "parameters", "requested_by", "error", "traceback", "created_at",
        "started_at", "ended_at",
    )  # fmt: skip
    inlines = [ShardInline]
    actions = ["cancel", "retry"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Those that have not ended."""
        self._each(request, queryset.filter(state__in=OPEN), job_cancel, "cancelled")

    @admin.action(description="Try again", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Those that failed or were cancelled."""
        self._each(request, queryset.filter(state__in=[State.FAILED, State.CANCELLED]), job_retry, "sent again")

    def _each(self, request: HttpRequest, jobs: QuerySet[Job], service: Callable[..., Any], done: str) -> None:
        count = 0
        for job in jobs:
            try:
                service(job=job)
                count += 1
            except DomainError as error:
                self.message_user(request, f"{job}: {error}", messages.ERROR)
        self.message_user(request, f"{count} {done}.")
