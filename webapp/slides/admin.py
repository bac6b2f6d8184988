from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.access.admin import AdministratorsAlone, Recorded
from webapp.slides.models import Case, Membership, Slide, Study, Upload
from webapp.slides.roles import Right, may, studies_of
from webapp.slides.selectors import reports_on
from webapp.slides.services import slide_correct_case, slide_delete, slides_changed_study


class OfStudies(Recorded):
    """Staff see, in the admin as elsewhere, what belongs to their studies, and may choose that alone."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        visible = self.model._default_manager.visible_to(request.user)
        return super().get_queryset(request).filter(pk__in=visible.order_by().values("pk"))

    # From an object to the key of its study: what a person may change here, as elsewhere, is for the role there.
    study_of = staticmethod(lambda one: one.slide.case.study_id)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._manages(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._manages(request, obj)

    def managed(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Of the selected rows those that the person may act on."""
        return [one for one in queryset if self._manages(request, one)]

    def _manages(self, request: HttpRequest, obj: Any) -> bool:
        if obj is None or request.user.is_superuser:
            return True
        try:
            study = self.study_of(obj)
        except AttributeError:  # of no slide: for superusers
            return False
        return may(Right.MANAGE, user=request.user, study=study)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        of = db_field.related_model
        if of in {Study, Case}:  # nothing is put where the person is no manager
            managed = [study.pk for study in studies_of(request.user, Right.MANAGE)]
            kwargs["queryset"] = of.objects.filter(**{"pk__in" if of is Study else "study__in": managed})
        elif hasattr(of._default_manager, "visible_to"):
            kwargs.setdefault("queryset", of._default_manager.visible_to(request.user))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class MembershipFormSet(forms.BaseInlineFormSet[Membership, Study, forms.ModelForm[Membership]]):
    """A study needs a manager, as everywhere."""

    def clean(self) -> None:
        super().clean()
        kept = [form.cleaned_data for form in self.forms if form.is_valid() and not form.cleaned_data.get("DELETE")]
        if not any(one.get("role") == Membership.Role.MANAGER for one in kept):
            raise forms.ValidationError("A study needs a manager.")


class MembershipInline(admin.TabularInline[Membership, Study]):
    model = Membership
    formset = MembershipFormSet
    extra = 1
    autocomplete_fields = ["user"]


class StudyForm(forms.ModelForm[Study]):
    """How the study counts, of what there is."""

    shape = forms.ChoiceField(choices=[("", "circle"), ("square", "square"), ("fields", "ten fields")], required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        families: dict[str, list[tuple[str, str]]] = {}
        for rule in settings.SCORE_RULES.values():
            families.setdefault(rule.family, []).append((rule.id, rule.name))
        self.fields["rule"] = forms.ChoiceField(choices=[("", "the laboratory's"), *families.items()], required=False)
        self.fields["area_mm2"].help_text = "Evaluable area of the hotspot; empty: the rule's, or 2."

    def clean_area_mm2(self) -> float | None:
        """Refuse what is no area."""
        area: float | None = self.cleaned_data["area_mm2"]
        if area is not None and not 0.0001 <= area <= 100:
            raise forms.ValidationError("An area is between 0.0001 and 100 mm².")
        return area


@admin.register(Study)
class StudyAdmin(OfStudies):
    """Changed, with its members, by who manages it."""

    study_of = staticmethod(lambda one: one.pk)
    list_display = ["name", "created_at"]
    search_fields = ["name"]
    form = StudyForm
    inlines = [MembershipInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Study | None = None) -> tuple[str, ...]:
        """What makes deletions safer is taken back by administrators alone."""
        return () if request.user.is_superuser else ("deleted_reports",)


@admin.register(Case)
class CaseAdmin(OfStudies):
    study_of = staticmethod(lambda one: one.study_id)
    list_display = ["identifier", "study", "created_at"]
    list_filter = [("study", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["identifier"]

    def get_readonly_fields(self, request: HttpRequest, obj: Case | None = None) -> tuple[str, ...]:
        """A patient with signed reports stays in the study, whose rule for them holds.

        The name stays, by which slides, locked cases and comparisons know it: slides are put into a case of another.
        """
        if obj is None:
            return ()
        signed = obj.slides.filter(reports__isnull=False).exists()
        return ("identifier", "study") if signed and not request.user.is_superuser else ("identifier",)

    def save_model(self, request: HttpRequest, obj: Case, form: Any, change: bool) -> None:
        before = Study.objects.get(pk=form.initial["study"]) if change and "study" in form.changed_data else None
        super().save_model(request, obj, form, change)
        if before is not None:
            slides_changed_study(slides=obj.slides.select_related("case", "reader"), before=before)


@admin.register(Slide)
class SlideAdmin(OfStudies):
    """What a file says of itself is read only; the case can be corrected."""

    study_of = staticmethod(lambda one: one.case.study_id)
    list_display = ["name", "case", "state", "width", "height", "mpp_x", "mpp_source", "uploaded_by", "uploaded_at"]
    list_filter = ["state", ("case__study", admin.RelatedOnlyFieldListFilter), "drawn"]
    search_fields = ["name", "case__identifier", "sha256"]
    list_select_related = ["case__study", "uploaded_by"]
    fields = (
        "name", "case",  # what a person may correct; the rest is what the file says
        "state", "remark", "path", "sha256", "bytes", "format", "width", "height", "mpp_x", "mpp_y",
        "mpp_source", "tissue_fraction", "drawn", "wants_detection", "uploaded_by", "uploaded_at", "reader",
    )  # fmt: skip
    readonly_fields = fields[2:]

    def get_readonly_fields(self, request: HttpRequest, obj: Slide | None = None) -> tuple[str, ...]:
        """A slide with signed reports stays in its study, whose rule for them holds."""
        signed = obj is not None and reports_on(slide=obj) > 0 and not request.user.is_superuser
        return (*super().get_readonly_fields(request, obj), *(["case"] if signed else []))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # slides come in by upload

    def save_model(self, request: HttpRequest, obj: Slide, form: Any, change: bool) -> None:
        if "case" in form.changed_data:
            slide_correct_case(slide=obj, case=obj.case)
        super().save_model(request, obj, form, change)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What goes with slides; those with signed reports go with their patient alone, on the page of the case."""
        to_delete, counts, needed, kept = super().get_deleted_objects(objs, request)
        signed = [f"signed reports of {one}" for one in objs if reports_on(slide=one)]
        read = [f"blinded readings of {one}" for one in objs if one.readings.filter(over_at=None).exists()]
        return to_delete, counts, needed, [*kept, *signed, *read]

    def delete_model(self, request: HttpRequest, obj: Slide) -> None:
        slide_delete(slide=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Slide]) -> None:
        for slide in queryset:
            slide_delete(slide=slide)


@admin.register(Upload)
class UploadAdmin(AdministratorsAlone):
    list_display = ["name", "user", "offset", "size", "created_at", "slide"]
    list_select_related = ["user", "slide"]
    readonly_fields = ["user", "study", "name", "size", "offset", "created_at", "slide"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
