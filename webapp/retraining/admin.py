"""Retraining in the admin: lists to look at, and the action that retrains. Everything else is on the pages."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.access.admin import AdministratorsAlone
from webapp.core.errors import DomainError
from webapp.retraining.models import (
    Judgement,
    LabelledSet,
    LockedCase,
    MinedSample,
    MiningRun,
    MitosisFreeSlide,
    Removal,
    ScannerCalibration,
    TrainingRun,
)
from webapp.retraining.plans import PLANS, plan_names
from webapp.retraining.trainings import training_request


class RetrainForm(ActionForm):
    """What the action "Retrain with ..." asks for; the page Models has every choice."""

    name = forms.CharField(required=False, label="Name of the training")
    plan = forms.ChoiceField(required=False, choices=lambda: [(name, PLANS.get(name, name)) for name in plan_names()])


class _Record(AdministratorsAlone):
    """Looked at in the admin, written by services alone."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class _Retrains(_Record):
    action_form = RetrainForm
    actions = ["retrain"]

    def has_retrain_permission(self, request: HttpRequest) -> bool:
        """Training uses slides of all studies, so it is for those who may see all of them."""
        return request.user.is_superuser

    @admin.action(description="Retrain with the selected, all labelled sets and all verdicts", permissions=["retrain"])
    def retrain(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Ask for a training; its page shows the rest."""
        try:
            training = training_request(
                by=cast(User, request.user),
                name=request.POST.get("name", ""),
                plan={"base": request.POST.get("plan") or "short"},
                sets=list(LabelledSet.objects.filter(frames__isnull=False).distinct()),
                **self.chosen(queryset),
            )
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        self.message_user(request, f"The training {training} waits for a worker; the page Models shows how far it is.")
        for warning in training.warnings:
            self.message_user(request, warning, messages.WARNING)

    def chosen(self, queryset: QuerySet[Any]) -> dict[str, Any]:
        """The selected rows as arguments of `training_request`."""
        raise NotImplementedError


@admin.register(MiningRun)
class MiningRunAdmin(_Retrains):
    list_display = ["__str__", "model", "first_look", "agreement", "at"]
    list_select_related = ["model"]
    fields = readonly_fields = ("job", "model", "first_look", "agreement", "at")

    def chosen(self, queryset: QuerySet[MiningRun]) -> dict[str, Any]:
        return {"mining": list(queryset)}


class _OfRun(admin.RelatedFieldListFilter):
    def field_choices(self, *_: Any) -> list[tuple[str, Any]]:
        return [(str(run.pk), str(run)) for run in MiningRun.objects.select_related("model")]


@admin.register(MinedSample)
class MinedSampleAdmin(_Retrains):
    list_display = ["__str__", "run", "slide", "least", "verdict", "verdict_by", "rejected"]
    list_filter = [("run", _OfRun), "verdict", "rejected"]
    list_select_related = ["run__model", "slide", "verdict_by"]
    fields = readonly_fields = (
        "run", "slide", "x", "y", "scores", "least", "verdict", "verdict_by", "verdict_at", "rejected", "rejected_by",
        "rejected_at",
    )  # fmt: skip

    def chosen(self, queryset: QuerySet[MinedSample]) -> dict[str, Any]:
        return {"samples": queryset}


@admin.register(LabelledSet)
class LabelledSetAdmin(_Record):
    list_display = ["name", "sha256", "by", "at"]
    list_select_related = ["by"]
    fields = readonly_fields = ("name", "sha256", "job", "by", "at")


@admin.register(LockedCase)
class LockedCaseAdmin(_Record):
    list_display = ["name", "by", "at", "used_at"]
    list_select_related = ["by"]
    fields = readonly_fields = ("name", "by", "at", "used_at")


@admin.register(MitosisFreeSlide)
class MitosisFreeSlideAdmin(_Record):
    list_display = ["slide", "by", "at"]
    list_select_related = ["slide", "by"]
    fields = readonly_fields = ("slide", "by", "at")


@admin.register(TrainingRun)
class TrainingRunAdmin(_Record):
    list_display = ["name", "job", "parent", "version", "manifest_sha256", "at"]
    list_select_related = ["job__slide", "parent", "version"]
    fields = readonly_fields = ("name", "job", "parent", "plan", "manifest_sha256", "warnings", "log", "version", "at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingRun]:
        return super().get_queryset(request).defer("manifest", "curve")


@admin.register(Judgement)
class JudgementAdmin(_Record):
    list_display = ["version", "active", "verdict", "why", "at"]
    list_select_related = ["version", "active"]
    fields = readonly_fields = ("version", "active", "cases", "left_out", "verdict", "why", "job", "at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Judgement]:
        return super().get_queryset(request).defer("result")


@admin.register(ScannerCalibration)
class ScannerCalibrationAdmin(_Record):
    list_display = ["scanner", "job", "parent", "version", "at"]
    list_select_related = ["job__slide", "parent", "version"]
    fields = readonly_fields = ("scanner", "job", "parent", "figures_sha256", "result", "remark", "version", "at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScannerCalibration]:
        return super().get_queryset(request).defer("figures")


@admin.register(Removal)
class RemovalAdmin(_Record):
    list_display = ["__str__", "reason", "by", "at", "ended_at"]
    list_select_related = ["slide", "person", "labelled_set", "by"]
    fields = readonly_fields = ("slide", "person", "labelled_set", "reason", "by", "at", "ended_at")
