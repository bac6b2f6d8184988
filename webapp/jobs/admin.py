from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import job_cancel, job_retry
from webapp.jobs.states import OPEN, State
from webapp.slides.admin import OfStudies

_T = TypeVar("_T")


def for_each(
    page: admin.ModelAdmin[Any], request: HttpRequest, rows: Iterable[_T], service: Callable[[_T], object], done: str
) -> None:
    """An admin action: call a service for each row; report how many succeeded and why others did not."""
    count = 0
    for row in rows:
        try:
            service(row)
            count += 1
        except DomainError as error:
            page.message_user(request, f"{row}: {error}", messages.ERROR)
    page.message_user(request, f"{count} {done}.")


class ShardInline(admin.TabularInline[Shard, Job]):
    model = Shard
    extra = 0
    can_delete = False
    fields = readonly_fields = (
        "index", "state", "attempt", "worker", "started_at", "lease_until", "units_done", "units_total",
        "units_skipped", "facts",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Job)
class JobAdmin(OfStudies):
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

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Each is recorded; of many at once the admin's own log is not told one by one."""
        for job in queryset:
            with transaction.atomic():
                record(Action.DELETED, job)
                job.delete()

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Those that have not ended."""
        for_each(
            self,
            request,
            self.managed(request, queryset.filter(state__in=OPEN)),
            lambda job: job_cancel(job=job),
            "cancelled",
        )

    @admin.action(description="Try again", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Those that failed or were cancelled."""
        ended = queryset.filter(state__in=[State.FAILED, State.CANCELLED])
        for_each(self, request, self.managed(request, ended), lambda job: job_retry(job=job), "sent again")
