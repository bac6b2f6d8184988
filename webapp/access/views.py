"""The page of a person's API tokens."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from knox.models import AuthToken

from webapp.access.services import LIFETIMES, token_make, token_revoke
from webapp.core.errors import DomainError


@login_required
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    """The person's tokens; after making one, the token itself, once."""
    made, problem = "", ""
    user = cast(User, request.user)
    if request.method == "POST":
        try:
            made = token_make(user=user, days=int(request.POST.get("days", "")))
        except (ValueError, DomainError) as error:
            problem = str(error) if isinstance(error, DomainError) else "Choose a lifetime."
    rows = AuthToken.objects.filter(user=user, expiry__gt=timezone.now()).order_by("-created")
    context = {"tokens": rows, "made": made, "problem": problem, "lifetimes": LIFETIMES}
    return render(request, "tokens.html", context, status=400 if problem else 200)


@login_required
@require_POST
def revoke(request: HttpRequest, key: str) -> HttpResponse:
    """Revoke one of the person's tokens."""
    try:
        token_revoke(user=cast(User, request.user), key=key)
        messages.success(request, f"The token {key}… is revoked.")
    except DomainError as error:
        messages.error(request, str(error))
    return redirect("tokens")
