"""Writing notices, webhooks and what people wish to be told."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.core.errors import InvalidInput
from webapp.notices.models import KINDS, Delivery, Kind, Notice, Webhook, Wishes
from webapp.slides.models import Slide, Study

KEPT = timedelta(days=90)
HELD = timedelta(minutes=2)  # a delivery, by who tries it; then another may
MOST_WEBHOOKS = 50
_address_valid = URLValidator(schemes=["https", "http"])


def tell(
    kind: Kind, *, slide: Slide | None = None, person: User | None = None, reference: UUID | None = None, what: str = ""
) -> None:
    """Keep a notice with all that is to be sent of it; called in the transaction of what happened."""
    with transaction.atomic():
        about = {"slide": slide, "person": person, "reference": str(reference or ""), "what": what}
        notice = Notice.objects.create(kind=kind, **about)
        study = slide.case.study_id if slide else None
        hooks = Webhook.objects.filter(Q(study=None) | Q(study=study)) if slide else Webhook.objects.filter(study=None)
        sent = [Delivery(notice=notice, webhook=hook) for hook in hooks if kind in hook.kinds]
        if settings.EMAIL_HOST:
            sent += [Delivery(notice=notice, person=one) for one in _by_mail(notice)]
        Delivery.objects.bulk_create(sent)


def _by_mail(notice: Notice) -> list[User]:
    """Who wishes a mail of it: the person who asked, who uploaded the slide, and its reader."""
    theirs = {notice.person_id}
    if notice.slide is not None:
        theirs |= {notice.slide.uploaded_by_id, notice.slide.reader_id}
    wishes = Wishes.objects.filter(user__in=theirs - {None}, user__is_active=True).exclude(user__email="")
    return [one.user for one in wishes.select_related("user") if notice.kind in one.mail]


def notices_seen(*, user: User) -> None:
    """The person has looked at the notices."""
    Wishes.objects.update_or_create(user=user, defaults={"seen_at": timezone.now()})


def mail_wish(*, user: User, kinds: Sequence[str]) -> None:
    """Which kinds of notices a person wants by mail."""
    Wishes.objects.update_or_create(user=user, defaults={"mail": _known(kinds)})


def webhook_add(*, address: str, kinds: Sequence[str], study: Study | None = None) -> Webhook:
    """Tell an address from now on."""
    try:
        _address_valid(address)
    except ValidationError:
        raise InvalidInput("An address begins with https:// or http:// and a host.") from None
    if "@" in address.split("/")[2]:
        raise InvalidInput("Leave name and password out of the address; what is sent is signed.")
    if not _known(kinds):
        raise InvalidInput("Choose at least one thing that the address is told of.")
    if Webhook.objects.count() >= MOST_WEBHOOKS:
        raise InvalidInput(f"There are {MOST_WEBHOOKS} webhooks, which is as many as there may be; remove one first.")
    with transaction.atomic():
        made: Webhook = Webhook.objects.create(address=address, kinds=_known(kinds), study=study)
        record(Action.WEBHOOK, made, after={"address": address, "kinds": made.kinds, "study": study and study.name})
    return made


def webhook_remove(*, webhook: Webhook) -> None:
    """Tell an address no more; what waits for it is dropped."""
    with transaction.atomic():
        record(Action.WEBHOOK, webhook, before={"address": webhook.address, "kinds": webhook.kinds})
        webhook.delete()


def delivery_again(*, delivery: Delivery) -> None:
    """Try a delivery that was given up once more, with all its tries."""
    with transaction.atomic():
        given_up = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.FAILED)
        if given_up.update(state=Delivery.State.WAITING, tries=0, due_at=timezone.now()):
            record(Action.WEBHOOK, delivery.webhook, after={"sent again": str(delivery.notice.pk)})


def webhook_try(*, webhook: Webhook) -> Delivery:
    """A delivery that says nothing but that it is a test, held by who asks for it."""
    with transaction.atomic():
        record(Action.WEBHOOK, webhook, after={"test": True})
        notice = Notice.objects.create(kind=Kind.TEST)
        made: Delivery = Delivery.objects.create(notice=notice, webhook=webhook, due_at=timezone.now() + HELD)
    return made


def notices_expire() -> None:
    """Drop what is older than 90 days, with its deliveries."""
    Notice.objects.filter(at__lt=timezone.now() - KEPT).delete()


def secret_of(webhook: Webhook) -> str:
    """Its secret, as Standard Webhooks writes it: whsec_ and 32 bytes in base64. Another SECRET_KEY makes another."""
    key = hmac.digest(settings.SECRET_KEY.encode(), f"webhook:{webhook.pk}".encode(), "sha256")
    return f"whsec_{base64.b64encode(key).decode()}"


def _known(kinds: Sequence[str]) -> list[str]:
    return [kind.value for kind in KINDS if kind.value in kinds]
