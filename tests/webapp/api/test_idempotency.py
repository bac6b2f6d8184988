"""A call with an Idempotency-Key whose body comes slowly keeps nobody waiting at the database."""

from __future__ import annotations

import io

import pytest
from django.db import connection
from django.http import UnreadablePostError
from django.test import RequestFactory

from webapp.access.services import token_make
from webapp.api.idempotency import HEADER, Idempotent
from webapp.core.faults import fault_of
from webapp.slides.models import Membership


class Body(io.BytesIO):
    """Says whether a transaction was open while it was read."""

    within: list[bool] = []

    def read(self, *size):
        self.within.append(connection.in_atomic_block)
        return super().read(*size)


class Broken(io.BytesIO):
    def read(self, *size):
        raise OSError("the client fell silent")


class View(Idempotent):
    def post(self, request):
        from rest_framework.response import Response

        return Response({"sent": request.data})


def asked(body, **more):
    return RequestFactory().post(
        "/api/v1/uploads/", content_type="application/json",
        **{"wsgi.input": body, "CONTENT_LENGTH": "2", f"HTTP_{HEADER.upper().replace('-', '_')}": "key", **more},
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_the_body_is_read_before_the_transaction(alice):
    Body.within = []
    token = f"Token {token_make(user=alice)}"
    answer = View.as_view()(asked(Body(b"{}"), HTTP_AUTHORIZATION=token))
    assert answer.status_code == 200 and Body.within and not any(Body.within)
    Body.within = []
    assert View.as_view()(asked(Body(b"{}"))).status_code == 401 and not Body.within, "who is nobody is not listened to"


def test_a_body_that_does_not_come_is_a_sentence(alice):
    with pytest.raises(UnreadablePostError) as error:
        View.as_view()(asked(Broken(), HTTP_AUTHORIZATION=f"Token {token_make(user=alice)}"))
    assert fault_of(error.value).status == 408 and "Send it again" in fault_of(error.value).say


def test_an_answer_does_not_come_again_for_who_may_see_less(client_of, alice, study, make_slide, make_run):
    slide, again = make_slide(mpp=2.0), {"Idempotency-Key": "one"}
    make_run(slide, [(50, 50, 0.9)])
    address = f"/api/v1/slides/{slide.pk}/figures/"
    body = {"x": 50, "y": 50, "label": "mitotic"}
    client = client_of(alice)
    assert client.post(address, body, format="json", headers=again).status_code == 200
    assert "Idempotency-Replayed" in client.post(address, body, format="json", headers=again)
    Membership.objects.get(user=alice, study=study).delete()
    assert client.post(address, body, format="json", headers=again).status_code == 404
