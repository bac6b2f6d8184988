"""The loop in the admin: rows are added by asking a service, changed by actions that call one, and never edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.widgets import FilteredSelectMultiple
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from webapp.annotations.models import Label
from webapp.core.errors import DomainError
from webapp.jobs.admin import for_each
from webapp.jobs.services import job_cancel, job_retry
from webapp.jobs.templatetags.durations import duration
from webapp.registry.models import ModelVersion
from webapp.retraining.judgements import judgement_request
from webapp.retraining.locked_cases import case_lock, case_unlock, free_slide_add, free_slide_remove
from webapp.retraining.mining import mined_sample_judge, mined_samples_reject, mined_samples_restore, mining_request
from webapp.retraining.models import (
    Judgement,
    LabelledSet,
    LockedCase,
    MinedSample,
    MiningRun,
    MitosisFreeSlide,
    Removal,
    TrainingRun,
)
from webapp.retraining.plans import plan_names
from webapp.retraining.removals import removal_end, removal_make
from webapp.retraining.selectors import estimate_of, slides_unlabelled
from webapp.retraining.sets import set_import_upload
from webapp.retraining.trainings import training_again, training_request
from webapp.slides.models import Slide


class RetrainForm(ActionForm):
    """What the action "Retrain with ..." asks for; the page Models has every choice."""

    name = forms.CharField(required=False, label="Name of the training")
    plan = forms.ChoiceField(required=False, choices=lambda: [(name, name) for name in plan_names()])


class AskForm(forms.Form):
    """What is asked before a row is added. The admin gives it an `instance`, which is never one."""

    def __init__(self, *args: Any, instance: Any = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.instance = instance

    def ask(self, by: User) -> Model:
        """Call the service that adds the row."""
        raise NotImplementedError


class SetForm(AskForm):
    name = forms.CharField(max_length=100)
    file = forms.FileField(label="Zip", help_text="In any format that the detector reads.")

    def ask(self, by: User) -> Model:
        return set_import_upload(by=by, **self.cleaned_data)


class LockForm(AskForm):
    name = forms.CharField(max_length=200, label="Case")

    def ask(self, by: User) -> Model:
        return case_lock(by=by, **self.cleaned_data)


class FreeForm(AskForm):
    slide = forms.ModelChoiceField(Slide.objects.filter(state=Slide.State.READY).order_by("name"))

    def ask(self, by: User) -> Model:
        return free_slide_add(by=by, **self.cleaned_data)


class MineForm(AskForm):
    """Says what it will cost before it begins."""

    slides = forms.ModelMultipleChoiceField(
        Slide.objects.none(), widget=FilteredSelectMultiple("unlabelled slides", is_stacked=False)
    )
    model = forms.ModelChoiceField(ModelVersion.objects.all(), required=False, empty_label="the active version")
    first_look = forms.FloatField(initial=settings.MINING_FIRST_LOOK)
    agreement = forms.FloatField(
        initial=settings.MINING_AGREEMENT, help_text="Least score under each of the eight flips and rotations."
    )
    go_on = forms.BooleanField(required=False, label="Begin", help_text="Without this only the cost is said.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        cast(Any, self.fields["slides"]).queryset = slides_unlabelled()

    def clean_go_on(self) -> bool:
        slides = self.cleaned_data.get("slides", ())
        if slides and not self.cleaned_data["go_on"]:
            cost = estimate_of(slides=list(slides))
            time = "for a time that is not known" if cost.seconds is None else f"for about {duration(cost.seconds)}"
            raise forms.ValidationError(
                f"This keeps a worker busy {time}: {cost.slides} slides, {cost.tissue_mm2:.1f} mm² of tissue "
                f"(from {cost.rests_on}). Check this to begin."
            )
        return True

    def ask(self, by: User) -> Model:
        asked = {name: value for name, value in self.cleaned_data.items() if name != "go_on"}
        return mining_request(by=by, **{**asked, "slides": list(asked["slides"])})


class JudgeForm(AskForm):
    version = forms.ModelChoiceField(ModelVersion.objects.exclude(state=ModelVersion.State.ACTIVE))

    def ask(self, by: User) -> Model:
        return judgement_request(by=by, **self.cleaned_data)


class RemoveForm(AskForm):
    slide = forms.ModelChoiceField(Slide.objects.order_by("name"), required=False)
    person = forms.ModelChoiceField(User.objects.order_by("username"), required=False)
    labelled_set = forms.ModelChoiceField(LabelledSet.objects.all(), required=False)
    reason = forms.CharField(widget=forms.Textarea, help_text="The page Models shows first what is affected.")

    def ask(self, by: User) -> Model:
        return removal_make(by=by, **self.cleaned_data)


class _Record(admin.ModelAdmin[Any]):
    """Looked at in the admin, written by services alone. asks: the form that adds a row, where one can be added."""

    asks: type[AskForm] | None = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.asks is not None and request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.is_superuser and obj is None

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        return super().get_form(request, obj, change, **options) if obj or self.asks is None else self.asks

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fields(request, obj) if obj or self.asks is None else list(self.asks().fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_readonly_fields(request, obj) if obj else ()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What a service refuses is said, and the form is there again."""
        try:
            return super().add_view(request, form_url, extra_context)
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        return form.ask(by=cast(User, request.user))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The service has done so."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The service has done so."""


class _Retrains(_Record):
    action_form = RetrainForm
    actions = ["retrain"]

    @admin.action(description="Retrain with the selected, all labelled sets and all verdicts", permissions=["change"])
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
    asks = MineForm
    actions = [*_Retrains.actions, "restore"]

    def chosen(self, queryset: QuerySet[MiningRun]) -> dict[str, Any]:
        return {"mining": list(queryset)}

    @admin.action(description="Take back all rejections of samples", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[MiningRun]) -> None:
        """Verdicts stay."""
        for_each(self, request, queryset, lambda run: mined_samples_restore(run=run), "as they were mined")


@admin.register(MinedSample)
class MinedSampleAdmin(_Retrains):
    list_display = ["__str__", "run", "slide", "least", "verdict", "verdict_by", "rejected"]
    list_filter = ["run", "verdict", "rejected"]
    list_select_related = ["run__model", "slide", "verdict_by"]
    fields = readonly_fields = (
        "run", "slide", "x", "y", "scores", "least", "verdict", "verdict_by", "verdict_at", "rejected", "rejected_by",
        "rejected_at",
    )  # fmt: skip
    actions = [*_Retrains.actions, "mitotic", "non_mitotic", "reject", "reject_slides", "reject_below"]

    def chosen(self, queryset: QuerySet[MinedSample]) -> dict[str, Any]:
        return {"samples": queryset}

    @admin.action(description="They are mitotic", permissions=["change"])
    def mitotic(self, request: HttpRequest, queryset: QuerySet[MinedSample]) -> None:
        """A person's word."""
        self._judge(request, queryset, Label.MITOTIC)

    @admin.action(description="They are none", permissions=["change"])
    def non_mitotic(self, request: HttpRequest, queryset: QuerySet[MinedSample]) -> None:
        """A person's word."""
        self._judge(request, queryset, Label.NON_MITOTIC)

    @admin.action(description="Reject", permissions=["change"])
    def reject(self, request: HttpRequest, queryset: QuerySet[MinedSample]) -> None:
        """One by one."""
        self._reject(request, queryset, lambda sample: {"sample": sample.pk})

    @admin.action(description="Reject all of the same run and slide", permissions=["change"])
    def reject_slides(self, request: HttpRequest, queryset: QuerySet[MinedSample]) -> None:
        """By slide."""
        self._reject(request, queryset, lambda sample: {"slide": sample.slide_id})

    @admin.action(description="Reject all of the same run that score less", permissions=["change"])
    def reject_below(self, request: HttpRequest, queryset: QuerySet[MinedSample]) -> None:
        """By score."""
        self._reject(request, queryset, lambda sample: {"below": sample.least})

    def _judge(self, request: HttpRequest, samples: QuerySet[MinedSample], label: Label) -> None:
        by = cast(User, request.user)
        for_each(self, request, samples, lambda one: mined_sample_judge(sample=one, label=label, by=by), "judged")

    def _reject(
        self, request: HttpRequest, samples: QuerySet[MinedSample], which: Callable[[MinedSample], dict[str, Any]]
    ) -> None:
        by = cast(User, request.user)
        count = sum(mined_samples_reject(run=one.run, by=by, **which(one)) for one in samples.select_related("run"))
        self.message_user(request, f"{count} rejected.")


@admin.register(LabelledSet)
class LabelledSetAdmin(_Record):
    list_display = ["name", "sha256", "by", "at"]
    fields = readonly_fields = ("name", "sha256", "job", "by", "at")
    asks = SetForm


@admin.register(LockedCase)
class LockedCaseAdmin(_Record):
    list_display = ["name", "by", "at", "used_at"]
    fields = readonly_fields = ("name", "by", "at", "used_at")
    asks = LockForm
    actions = ["unlock"]

    @admin.action(description="Unlock", permissions=["change"])
    def unlock(self, request: HttpRequest, queryset: QuerySet[LockedCase]) -> None:
        """Those that nothing was judged on."""
        for_each(self, request, queryset, lambda case: case_unlock(case=case), "unlocked")


@admin.register(MitosisFreeSlide)
class MitosisFreeSlideAdmin(_Record):
    list_display = ["slide", "by", "at"]
    list_select_related = ["slide", "by"]
    fields = readonly_fields = ("slide", "by", "at")
    asks = FreeForm
    actions = ["take_out"]

    @admin.action(description="Judge without", permissions=["change"])
    def take_out(self, request: HttpRequest, queryset: QuerySet[MitosisFreeSlide]) -> None:
        """Their cases stay locked."""
        for_each(self, request, queryset, lambda free: free_slide_remove(free=free), "taken out")


@admin.register(TrainingRun)
class TrainingRunAdmin(_Record):
    list_display = ["name", "job", "parent", "version", "manifest_sha256", "at"]
    list_select_related = ["job__slide", "parent", "version"]
    fields = readonly_fields = ("name", "job", "parent", "plan", "manifest_sha256", "warnings", "log", "version", "at")
    actions = ["stop", "go_on", "again"]

    @admin.action(description="Stop; a checkpoint is kept", permissions=["change"])
    def stop(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        """Those that have not ended."""
        for_each(self, request, queryset, lambda training: job_cancel(job=training.job), "stopped")

    @admin.action(description="Go on from the last checkpoint", permissions=["change"])
    def go_on(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        """Those that were stopped or failed."""
        for_each(self, request, queryset, lambda training: job_retry(job=training.job), "sent again")

    @admin.action(description="Train again without what has been removed since", permissions=["change"])
    def again(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        """The next set."""
        by = cast(User, request.user)

        def ask(training: TrainingRun) -> object:
            return training_again(training=training, by=by, name=f"{training.name[:90]}, again")

        for_each(self, request, queryset, ask, "asked for")


@admin.register(Judgement)
class JudgementAdmin(_Record):
    list_display = ["version", "active", "verdict", "why", "at"]
    list_select_related = ["version", "active"]
    fields = readonly_fields = ("version", "active", "cases", "verdict", "why", "job", "at")
    asks = JudgeForm


@admin.register(Removal)
class RemovalAdmin(_Record):
    list_display = ["__str__", "reason", "by", "at", "ended_at"]
    fields = readonly_fields = ("slide", "person", "labelled_set", "reason", "by", "at", "ended_at")
    asks = RemoveForm
    actions = ["take_back"]

    @admin.action(description="Take back", permissions=["change"])
    def take_back(self, request: HttpRequest, queryset: QuerySet[Removal]) -> None:
        """Trainings may use them again."""
        for_each(self, request, queryset, lambda removal: removal_end(removal=removal), "taken back")
