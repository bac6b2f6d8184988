"""Studies: their members with roles, and how they count; managers change both."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from webapp.api.studies import StudyChangeSerializer
from webapp.core.errors import DomainError, InvalidInput
from webapp.pages.pagination import page_of
from webapp.slides.models import Membership, Study
from webapp.slides.roles import Right, may
from webapp.slides.studies import member_put, member_remove, study_change, study_create


@login_required
def studies(request: HttpRequest) -> HttpResponse:
    """The person's studies; who may add some makes one here."""
    person = cast(User, request.user)
    may_make = person.has_perm("slides.add_study")
    if request.method == "POST":
        if not may_make:
            raise PermissionDenied
        try:
            made = study_create(name=request.POST.get("name", ""), manager=person)
        except DomainError as error:
            messages.error(request, str(error))
            return redirect("studies")
        return redirect("study", pk=made.pk)
    mine = dict(Membership.objects.filter(user=person.pk).values_list("study", "role"))
    found = (
        Study.objects.visible_to(person)
        .order_by("name")
        .annotate(slides=Count("cases__slides", filter=Q(cases__slides__original=None)))
    )
    page = page_of(request, found)
    rows = [{"study": one, "role": mine.get(one.pk, "")} for one in page.object_list]
    return render(request, "studies.html", {"page": page, "rows": rows, "may_make": may_make})


@login_required
def study(request: HttpRequest, pk: int) -> HttpResponse:
    """Its members and how it counts. For managers: POST `do` is put, remove or change."""
    found: Study = get_object_or_404(Study.objects.visible_to(request.user), pk=pk)
    manages = may(Right.MANAGE, user=request.user, study=pk)
    if request.method == "POST":
        if not manages:
            raise PermissionDenied
        try:
            messages.success(request, _done(request, found))
        except DomainError as error:
            messages.error(request, str(error))
        return redirect("study", pk=pk) if Study.objects.visible_to(request.user).filter(pk=pk) else redirect("studies")
    families: defaultdict[str, list[Any]] = defaultdict(list)
    for rule in settings.SCORE_RULES.values():
        families[rule.family].append(rule)
    context = {
        "study": found,
        "manages": manages,
        "members": found.memberships.select_related("user").order_by("user__username"),
        "roles": Membership.Role.choices,
        "families": dict(families),
        "rule": settings.SCORE_RULES.get(found.rule),
        "shapes": {"": "circle", "square": "square", "fields": "ten fields"}.items(),
        "reading_modes": Study.ReadingMode.choices,
        "after_deletion": Study.DeletedReports.choices,
        "dicomweb": request.build_absolute_uri(reverse("api:dicomweb-studies", args=[pk])).removesuffix("/studies"),
    }
    return render(request, "study.html", context)


def _done(request: HttpRequest, found: Study) -> str:
    """Do what a form asks for, and say it."""
    by, sent = cast(User, request.user), request.POST
    if sent.get("do") == "change":
        study_change(study=found, by=by, **_changes(sent))
        return "Saved."
    name = sent.get("username", "").strip()
    user = User.objects.filter(username=name, is_active=True).first()
    if sent.get("do") == "remove":
        user = User.objects.filter(username=name, memberships__study=found).first()
    if user is None:
        raise InvalidInput(f"No person is called {name}.")
    if sent.get("do") == "remove":
        member_remove(study=found, user=user, by=by)
        return f"{name} is not in the study any more."
    role = sent.get("role", "")
    if role not in Membership.Role.values:
        raise InvalidInput("Choose a role.")
    member_put(study=found, user=user, role=role, by=by)
    return f"{name} is {role} here."


def _changes(sent: Any) -> dict[str, Any]:
    """How the study counts from now on, by the checks of the API; an empty area is the rule's. Raises InvalidInput."""
    given = {name: sent.get(name, "").strip() for name in ("name", "rule", "shape", "area_mm2", "deleted_reports")}
    changed: dict[str, Any] = {**given, "area_mm2": given["area_mm2"].replace(",", ".") or None}
    if "reading" in sent:
        changed |= {"reading": sent["reading"], "candidates_hidden": "candidates_hidden" in sent}
        changed["atypical"] = "atypical" in sent
    asked = StudyChangeSerializer(data=changed)
    if not asked.is_valid():
        field, (why, *_) = next(iter(asked.errors.items()))
        raise InvalidInput(f"{field}: {why}")
    changes: dict[str, Any] = asked.validated_data
    return changes
