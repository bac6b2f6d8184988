"""People, for administrators: who has an account, with which factors and studies; inviting, locking, new passwords."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Exists, OuterRef, Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django_otp.plugins.otp_totp.models import TOTPDevice

from webapp.access.models import Passkey
from webapp.access.people import invitation_path, person_invite, person_lock, person_unlock
from webapp.access.second_factor import factors_reset
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError, InvalidInput
from webapp.pages.administrators import administrators_only
from webapp.pages.asked import number_of
from webapp.pages.pagination import page_of
from webapp.slides.models import Membership, Study
from webapp.slides.studies import member_put


@administrators_only
def people(request: HttpRequest) -> HttpResponse:
    """Who has an account; `?search=` by part of name or address. POST `do`: invite, link, lock, open, factors."""
    link: dict[str, Any] = {}
    if request.method == "POST":
        try:
            link = _done(request)
        except DomainError as error:
            messages.error(request, str(error))
        if not link:
            return redirect("people")
    search = request.GET.get("search", "").strip()
    found = User.objects.order_by("username")
    if search:
        fields = ("username", "first_name", "last_name", "email")
        found = found.filter(Q(*((f"{field}__icontains", search) for field in fields), _connector=Q.OR))
    found = found.annotate(
        has_factor=Exists(TOTPDevice.objects.filter(user=OuterRef("pk"), confirmed=True))
        | Exists(Passkey.objects.filter(user=OuterRef("pk")))
    ).prefetch_related(Prefetch("memberships", Membership.objects.select_related("study").order_by("study__name")))
    context = {
        "page": page_of(request, found),
        "search": search,
        "studies": Study.objects.order_by("name"),
        "roles": Membership.Role.choices,
        "mail": bool(settings.EMAIL_HOST),
        **link,
    }
    return render(request, "people.html", context)


def _done(request: HttpRequest) -> dict[str, Any]:
    """Do what was asked for. A link that is to be handed over, and whose it is; nothing where it was mailed."""
    asked, by, do = request.POST, cast(User, request.user), request.POST.get("do", "")
    if do == "invite":
        return _linked(request, _invited(request, by))
    if do not in {"link", "lock", "open", "factors"}:
        raise InvalidInput("Nothing was done: choose invite, link, lock, open or factors.")
    person = get_object_or_404(User, pk=number_of(asked.get("person", "")))
    if do == "link":
        return _linked(request, person)
    if do == "lock":
        person_lock(person=person, by=by)
        messages.success(request, f"{person} is locked: sessions and tokens end, nothing is deleted.")
    elif do == "open":
        person_unlock(person=person)
        messages.success(request, f"{person} may sign in again.")
    else:
        factors_reset(user=person)
        messages.success(
            request, f"{person} signs in with the password alone, and sets up a new factor where one is asked."
        )
    return {}


def _invited(request: HttpRequest, by: User) -> User:
    asked = request.POST
    names = {name: asked.get(name, "").strip() for name in ("username", "email", "first_name", "last_name")}
    with transaction.atomic():
        person = person_invite(**names)
        if asked.get("study"):
            study = get_object_or_404(Study, pk=number_of(asked["study"]))
            role = asked.get("role") if asked.get("role") in Membership.Role.values else None
            member_put(study=study, user=person, role=role, by=by)
    return person


def _linked(request: HttpRequest, person: User) -> dict[str, Any]:
    """Mail the link, or give it to be handed over where there is no way to mail it."""
    if not person.is_active:
        raise DomainError(f"{person} is locked; open the account first.")
    link = request.build_absolute_uri(invitation_path(person))
    by_mail = bool(settings.EMAIL_HOST and person.email)
    record(Action.PASSWORD_RESET_ASKED, person, after={"link": "mailed" if by_mail else "shown"})
    if not by_mail:
        return {"link": link, "person": person}
    text = render_to_string("invitation_mail.txt", {"person": person, "link": link})
    try:
        send_mail("Your account at Mitoscope", text, None, [person.email])
    except OSError as error:
        messages.error(request, f"The mail could not be sent ({error}); hand the link over yourself.")
        return {"link": link, "person": person}
    messages.success(request, f"A link that sets the password is on its way to {person.email}; it is good for a week.")
    return {}
