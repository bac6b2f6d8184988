"""Sign-in by the hospital's provider: there, and back."""

from __future__ import annotations

import logging

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser, User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET

from webapp.access.oidc import SignInFailed, begin, claims_of, person_of
from webapp.access.second_factor import sign_in
from webapp.access.sign_in import way_on
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.slides.provider_groups import groups_apply, meanings_in_force

_NEXT = "provider_next"
_log = logging.getLogger(__name__)


@require_GET
def provider_begin(request: HttpRequest) -> HttpResponse:
    """To the provider; 404 where none is set."""
    _needs_provider()
    request.session[_NEXT] = request.GET.get("next", "")
    try:
        return begin(request, request.build_absolute_uri(reverse("provider-callback")))
    except SignInFailed as error:
        return _back(request, error)


@require_GET
def provider_callback(request: HttpRequest) -> HttpResponse:
    """Back from it: signed in, or the sign-in page with the reason."""
    _needs_provider()
    request.user = AnonymousUser()  # who is signed in here has not asked for what follows
    try:
        claims = claims_of(request)
        user = person_of(claims)
    except SignInFailed as error:
        return _back(request, error)
    try:
        meanings = meanings_in_force()
    except ValueError as error:
        _log.error("OIDC_GROUPS: %s", error)
        return _refused(request, user, "What your groups mean here cannot be read; tell an administrator.")
    if meanings is not None:
        if settings.OIDC_GROUPS_CLAIM in (claims.get("_claim_names") or {}):  # too many to be listed, as Entra does
            return _refused(request, user, "Your groups are too many to be told; let them be limited to Mitoscope's.")
        request.user = user  # it is the person's own sign-in that gives and takes roles
        groups = claims.get(settings.OIDC_GROUPS_CLAIM) or []
        said = groups if isinstance(groups, list) else [groups]
        groups_apply(user=user, groups=map(str, said), meanings=meanings)
    then = request.session.pop(_NEXT, "")
    sign_in(request, user, factor="provider", password=False)
    return redirect(way_on(request, then))


def _needs_provider() -> None:
    if not settings.OIDC_ISSUER:
        raise Http404


def _refused(request: HttpRequest, user: User, why: str) -> HttpResponse:
    record(Action.SIGN_IN_REFUSED, user, who=user, after={"why": why})
    return _back(request, SignInFailed(why))


def _back(request: HttpRequest, error: SignInFailed) -> HttpResponse:
    messages.error(request, str(error))
    return redirect("login")
