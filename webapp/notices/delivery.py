"""Sending notices: to webhooks, signed as Standard Webhooks says (https://www.standardwebhooks.com), and by mail.

A delivery that fails is tried again after a minute, and later and later for a day and a half; then it is given up.
What is sent names a slide by its id alone.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.client
import json
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from webapp.notices.models import Delivery, Notice, Webhook
from webapp.notices.services import HELD, secret_of

TRIES_AFTER = [timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 480, 1440)]
_SECONDS = 10  # for an answer
_AT_ONCE = 8  # receivers
_log = logging.getLogger(__name__)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is signed for one address is not sent to another."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class _Ended(http.client.HTTPConnection):
    """A connection that ends after a while, however slowly an answer drips."""

    def connect(self) -> None:
        """As of any; its time begins."""
        super().connect()
        end = threading.Timer(_SECONDS, self._end)
        end.daemon = True
        end.start()

    def _end(self) -> None:
        if (sock := self.sock) is not None:  # over TLS another one than at first
            with contextlib.suppress(OSError):  # it is closed already
                sock.shutdown(socket.SHUT_RDWR)


class _EndedTls(http.client.HTTPSConnection, _Ended):
    """The same over TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """By connections that end."""
        return self.do_open(_Ended, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """By connections that end."""
        return self.do_open(_EndedTls, req)


_opener = urllib.request.build_opener(_NoRedirect, _Http, _Https)


def deliver_due(*, most: int = 100) -> int:
    """Send what is due, the longest due first, at most so much to each; returns how much was tried.

    Each webhook has a thread, and mail has one: who does not answer holds up nobody else, and is not asked again before
    the others have been.
    """
    due = Delivery.objects.filter(state=Delivery.State.WAITING, due_at__lte=timezone.now())
    receivers = list(due.order_by().values_list("webhook", flat=True).distinct())
    if len(receivers) < 2:
        return sum(_deliver_to(one, most) for one in receivers)
    with ThreadPoolExecutor(min(len(receivers), _AT_ONCE)) as pool:
        return sum(pool.map(lambda one: _deliver_apart(one, most), receivers))


def _deliver_apart(webhook: UUID | None, most: int) -> int:
    try:
        return _deliver_to(webhook, most)
    finally:
        connection.close()


def _deliver_to(webhook: UUID | None, most: int) -> int:
    """Send to one webhook, or mail (None), until one fails."""
    for number in range(most):
        delivery = _next_due(webhook)
        if delivery is None:
            return number
        if deliver(delivery).state != Delivery.State.DELIVERED:
            return number + 1
    return most


def deliver(delivery: Delivery) -> Delivery:
    """Try once, and keep the answer."""
    now = timezone.now()
    try:
        answer, state = _send(delivery), Delivery.State.DELIVERED
    except Exception as error:  # whatever it is: another server's fault must not stop the others' deliveries
        answer, state = f"{type(error).__name__}: {error}", Delivery.State.WAITING
    delivery.tries += 1
    if state == Delivery.State.WAITING and delivery.tries > len(TRIES_AFTER):
        state = Delivery.State.FAILED
        _log.warning("delivery %s was given up: %s", delivery.pk, answer)
    delivery.state, delivery.answer, delivery.tried_at = state, answer[:300], now
    delivery.due_at = now + TRIES_AFTER[min(delivery.tries, len(TRIES_AFTER)) - 1]
    delivery.save(update_fields=["state", "answer", "tries", "tried_at", "due_at"])
    return delivery


def _next_due(webhook: UUID | None) -> Delivery | None:
    """The delivery to a webhook, or by mail, that is longest due, held by this process; None where there is none."""
    now = timezone.now()
    while True:
        due = Delivery.objects.filter(state=Delivery.State.WAITING, due_at__lte=now, webhook=webhook)
        first = due.select_related("notice__slide__case", "webhook", "person").order_by("due_at").first()
        if first is None:
            return None
        if Delivery.objects.filter(pk=first.pk, due_at=first.due_at).update(due_at=now + HELD):
            return first  # else another process was faster


def _send(delivery: Delivery) -> str:
    if delivery.webhook is not None:
        return _post(delivery.webhook, delivery)
    assert delivery.person is not None, "a delivery goes to a webhook or to a person"
    notice = delivery.notice
    visible = Notice.objects.visible_to(delivery.person).filter(pk=notice.pk).exists()
    if not (visible and delivery.person.is_active and delivery.person.email):
        return "not sent: the person may not see it any more, or has no address"
    choice = f"What you are mailed, you choose there: {_address('notices')}"
    text = f"{str(notice).capitalize()}.\n\n{link_of(notice)}\n\n{choice}\n"
    send_mail(f"Mitoscope: {notice}", text, None, [delivery.person.email])
    return "sent"


def _post(webhook: Webhook, delivery: Delivery) -> str:
    said = json.dumps(payload(delivery.notice)).encode()
    identity, at = f"msg_{delivery.pk}", str(int(timezone.now().timestamp()))
    key = base64.b64decode(secret_of(webhook).removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"{identity}.{at}.".encode() + said, "sha256")).decode()
    request = urllib.request.Request(webhook.address, data=said, method="POST")  # noqa: S310  webhook_add checks the scheme
    for name, value in {
        "Content-Type": "application/json",
        "User-Agent": "Mitoscope",
        "webhook-id": identity,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{signature}",
    }.items():
        request.add_header(name, value)
    began = time.monotonic()
    try:
        with _opener.open(request, timeout=_SECONDS) as answer:
            if time.monotonic() - began >= _SECONDS:  # what came of it until then looks like an answer
                raise OSError(f"no answer in {_SECONDS} s")
            return str(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            raise OSError(f"answered {refused.code}") from None


def payload(notice: Notice) -> dict[str, Any]:
    """What a webhook is told: ids, and where to look."""
    return {
        "type": notice.kind,
        "timestamp": notice.at.isoformat(),
        "data": {
            "slide": str(notice.slide_id) if notice.slide_id else None,
            "study": notice.slide.case.study_id if notice.slide else None,
            "reference": notice.reference or None,
            "what": notice.what or None,
            "address": link_of(notice),
        },
    }


def link_of(notice: Notice) -> str:
    """Where a person looks: the slide, or the jobs."""
    return _address("slide", notice.slide_id) if notice.slide_id else _address("jobs")


def _address(name: str, *args: Any) -> str:
    return settings.SITE_ADDRESS + reverse(name, args=args)
