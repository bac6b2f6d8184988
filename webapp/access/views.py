"""The pages of a person's account: API tokens, password."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.contrib.auth.tokens import PasswordResetTokenGenerator, default_token_generator
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from knox.models import AuthToken

from webapp.access.people import invitations
from webapp.access.services import LIFETIMES, TOKEN_DAYS, token_make, token_revoke
from webapp.access.sign_in import refused_until
from webapp.audit.models import Action, Entry
from webapp.audit.origin import client_address
from webapp.audit.services import record
from webapp.core.errors import DomainError

_mails = ThreadPoolExecutor(2, "mail")
_RESETS, _WINDOW = 5, timedelta(minutes=15)  # asked for from one address


@login_required
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    """The person's tokens; after making one, the token itself, once."""
    made, problem = "", ""
    user = cast(User, request.user)
    if request.method == "POST":
        try:
            made = token_make(user=user, name=request.POST.get("name", ""), days=int(request.POST.get("days", "")))
        except (ValueError, DomainError) as error:
            problem = str(error) if isinstance(error, DomainError) else "Choose a lifetime."
    living = Q(expiry=None) | Q(expiry__gt=timezone.now())
    rows = AuthToken.objects.filter(living, user=user).select_related("use").order_by("-created")
    context = {"tokens": rows, "made": made, "problem": problem, "lifetimes": LIFETIMES, "default": TOKEN_DAYS}
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


def has_mail() -> bool:
    """Whether this server can send mail, so that a forgotten password can be reset."""
    return bool(settings.EMAIL_HOST)


def admin_login(request: HttpRequest) -> HttpResponse:
    """The admin has no sign-in of its own: the page that all sign in on, or 403 for who is signed in and not staff."""
    if not request.user.is_authenticated:
        return redirect(f"{reverse('login')}?{urlencode({'next': request.GET.get('next') or reverse('admin:index')})}")
    if not getattr(request.user, "is_staff", False):
        raise PermissionDenied
    return redirect("admin:index")


class PasswordChange(LoginRequiredMixin, auth.PasswordChangeView):
    """One's own password; other sessions and all API tokens end with the old one."""

    template_name = "password.html"
    success_url = reverse_lazy("tokens")
    extra_context = {"title": "Change password", "button": "Change password"}

    def form_invalid(self, form: Any) -> HttpResponse:
        if "old_password" in form.errors:  # guesses are counted as those of the sign-in
            record(Action.SIGN_IN_FAILED, named=self.request.user.get_username())
        return super().form_invalid(form)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated and refused_until(request, request.user.get_username()):
            messages.error(request, "Too many wrong passwords. Try again in a quarter of an hour.")
            return redirect("tokens")
        return super().post(request, *args, **kwargs)

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        messages.success(
            self.request,
            "Your password is changed. Other sessions and all API tokens have ended. Passkeys stay: look under Second "
            "factor whether all of them are yours.",
        )
        return answer


class _NeedsMail:
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not has_mail():
            raise Http404
        return cast(HttpResponseBase, super().dispatch(request, *args, **kwargs))  # type: ignore[misc]


class ResetForm(PasswordResetForm):
    """Sends the mail beside the request, whose time would else tell whether somebody has this address."""

    def send_mail(self, *args: Any, **kwargs: Any) -> None:
        _mails.submit(super().send_mail, *args, **kwargs)  # what goes wrong with the mail server, Django logs


class PasswordReset(_NeedsMail, auth.PasswordResetView):
    """A link by mail. The answer is the same whether anybody has this address."""

    form_class = ResetForm
    template_name = "password.html"
    email_template_name = "password_mail.txt"
    subject_template_name = "password_mail_subject.txt"
    success_url = reverse_lazy("login")
    extra_context = {"title": "Reset password", "button": "Send me a link"}

    def form_valid(self, form: Any) -> HttpResponse:
        address, since = client_address(self.request), timezone.now() - _WINDOW
        asked = Entry.objects.filter(action=Action.PASSWORD_RESET_ASKED, origin=address, at__gt=since)
        if asked.count() >= _RESETS:
            cast(Form, form).add_error(None, "Too many links were asked for. Try again in a quarter of an hour.")
            return self.form_invalid(form)
        record(Action.PASSWORD_RESET_ASKED, named=form.cleaned_data["email"])
        messages.success(self.request, "If somebody here has this address, a link is on its way to it.")
        return super().form_valid(form)


class Invitation(auth.PasswordResetConfirmView):
    """The first password, or a new one, by a link of an administrator."""

    template_name = "password.html"
    success_url = reverse_lazy("login")
    token_generator: PasswordResetTokenGenerator = invitations
    extra_context = {"title": "New password", "button": "Set password"}

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your password is set; sign in with it.")
        return super().form_valid(form)


class PasswordResetConfirm(_NeedsMail, Invitation):
    """A new password, by the link of a mail that somebody asked for."""

    token_generator = default_token_generator
