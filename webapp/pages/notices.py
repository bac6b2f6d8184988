"""What came meanwhile, and who else is told."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.functional import SimpleLazyObject

from webapp.core.errors import DomainError, InvalidInput
from webapp.notices.delivery import deliver
from webapp.notices.models import KINDS, Delivery, Notice, Webhook, Wishes
from webapp.notices.services import (
    delivery_again,
    mail_wish,
    notices_seen,
    secret_of,
    webhook_add,
    webhook_remove,
    webhook_try,
)
from webapp.pages.administrators import administrators_only
from webapp.pages.asked import number_of, uuid_of
from webapp.pages.pagination import page_of
from webapp.slides.models import Study

_MOST = 99  # that the bell counts


def bell(request: HttpRequest) -> dict[str, Any]:
    """For every page: how many notices came since the person last looked; asked for where a page shows it."""
    return {"unseen": SimpleLazyObject(lambda: _unseen(request))}


def _unseen(request: HttpRequest) -> int:
    since = Wishes.objects.filter(user=request.user.pk).values_list("seen_at", flat=True).first()
    found = Notice.objects.visible_to(request.user).exclude(person=request.user.pk, kind="report.signed")
    found = found.filter(at__gt=since or cast(User, request.user).date_joined)
    return found.order_by()[:_MOST].count()


@login_required
def notices(request: HttpRequest) -> HttpResponse:
    """What came, the newest first. POST chooses what is mailed."""
    person = cast(User, request.user)
    if request.method == "POST":
        mail_wish(user=person, kinds=request.POST.getlist("mail"))
        messages.success(request, "Your choice is kept.")
        return redirect("notices")
    wishes = Wishes.objects.filter(user=person).first()
    found = Notice.objects.visible_to(person).select_related("slide__case__study", "person")
    context = {
        "page": page_of(request, found),
        "since": wishes.seen_at if wishes else person.date_joined,
        "kinds": [(kind, kind in (wishes.mail if wishes else [])) for kind in KINDS],
        "mail": bool(settings.EMAIL_HOST),
        "address": person.email,
    }
    answer = render(request, "notices.html", context)
    notices_seen(user=person)
    return answer


@administrators_only
def webhooks(request: HttpRequest) -> HttpResponse:
    """The addresses that are told, and what became of each delivery. POST `do` is add, remove, test or again."""
    made: dict[str, Any] = {}
    if request.method == "POST" and request.POST.get("do") == "add":
        made = _added(request)
    elif request.method == "POST":
        try:
            messages.success(request, _done(request))
        except DomainError as error:
            messages.error(request, str(error))
        return redirect("webhooks")
    deliveries = Delivery.objects.exclude(webhook=None).select_related("notice", "webhook")
    context = {
        "webhooks": Webhook.objects.select_related("study"),
        "page": page_of(request, deliveries),
        "kinds": KINDS,
        "studies": Study.objects.order_by("name"),
        "site": settings.SITE_ADDRESS,
        **made,
    }
    return render(request, "webhooks.html", context)


def _added(request: HttpRequest) -> dict[str, Any]:
    """The new webhook with its secret, which is not shown again, or what was wrong."""
    asked = request.POST
    study = get_object_or_404(Study, pk=number_of(asked["study"])) if asked.get("study") else None
    try:
        made = webhook_add(address=asked.get("address", "").strip(), kinds=asked.getlist("kinds"), study=study)
    except DomainError as error:
        return {"problem": str(error)}
    return {"made": made, "secret": secret_of(made)}


def _done(request: HttpRequest) -> str:
    """Do what was asked for; a sentence that says so."""
    asked = request.POST
    if asked.get("do") == "again":
        delivery_again(delivery=get_object_or_404(Delivery, pk=number_of(asked.get("delivery", ""))))
        return "It is tried again within seconds."
    if asked.get("do") not in {"remove", "test"}:
        raise InvalidInput("Nothing was done: choose add, remove, test or again.")
    webhook = get_object_or_404(Webhook, pk=uuid_of(asked.get("webhook", "")))
    if asked.get("do") == "remove":
        webhook_remove(webhook=webhook)
        return f"{webhook.address} is told no more."
    tried = deliver(webhook_try(webhook=webhook))
    if tried.state == Delivery.State.DELIVERED:
        return f"{webhook.address} answered {tried.answer}."
    raise DomainError(f"{webhook.address} did not take it ({tried.answer}); it is tried again later.")
