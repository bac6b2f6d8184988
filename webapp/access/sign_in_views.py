"""Signing in: by name and password, then by a second factor where one has or must have one; or by passkey."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from webapp.access import passkeys
from webapp.access.second_factor import (
    WrongCode,
    ask_for_factor,
    check_code,
    forget_pending,
    has_factor,
    is_asked_of,
    pending,
    sign_in,
)
from webapp.access.sign_in import SignInForm, address_refused_until, way_on
from webapp.access.views import has_mail
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import DomainError


class SignIn(LoginView):
    """Name and password."""

    template_name = "login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        forget_pending(request)
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        more = {
            "mail": has_mail(),
            "provider": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
            "no_passkey": passkeys.why_not_here(self.request),
        }
        return super().get_context_data(**kwargs, **more)

    def form_valid(self, form: Any) -> HttpResponse:
        user, then = form.get_user(), self.get_success_url()
        if has_factor(user) or is_asked_of(user):
            ask_for_factor(self.request, user, then=then)
            return redirect("second-step")
        sign_in(self.request, user)
        return redirect(then)


@never_cache
def second_step(request: HttpRequest) -> HttpResponse:
    """A code of the app or a recovery code, after the password."""
    half = pending(request)
    if half is None:
        return redirect("login")
    if not has_factor(half.user):
        return redirect("second-factor")  # who must have one sets it up now
    problem, status = "", 200
    if request.method == "POST":
        try:
            factor = check_code(request, half.user, request.POST.get("code", ""))
            sign_in(request, half.user, factor=factor)
            return redirect(half.then)
        except WrongCode as error:
            problem, status = str(error), error.status
    context = {
        "problem": problem,
        "passkeys": half.user.passkeys.exists(),
        "no_passkey": passkeys.why_not_here(request),
    }
    return render(request, "second_step.html", context, status=status)


@require_POST
def passkey_asked(request: HttpRequest) -> HttpResponse:
    """What the browser needs to show a passkey: of who has given the password, or of anybody."""
    half = pending(request)
    return passkeys.options_to_show(request, half.user if half else None)


@require_POST
def passkey_shown(request: HttpRequest) -> HttpResponse:
    """Signed in by a passkey; a session that is open already becomes its person's."""
    half, then = pending(request), request.POST.get("next", "")
    back = "second-step" if half else "login"
    if address_refused_until(request) is not None:
        messages.error(request, "Too many failures from this address. Try again in a quarter of an hour.")
        return redirect(back)
    try:
        user = passkeys.person_of(request, request.POST.get("answer", ""))
        if half is not None and half.user != user:
            raise WrongCode("This is the passkey of somebody else.")
    except DomainError as error:
        record(Action.SIGN_IN_FAILED, named=half.user.get_username() if half else "passkey", after={"why": str(error)})
        messages.error(request, str(error))
        return redirect(back)
    sign_in(request, user, factor="passkey", password=half is not None)
    return redirect(half.then if half is not None else way_on(request, then))
