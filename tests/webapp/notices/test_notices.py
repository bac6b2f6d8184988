"""What came meanwhile: who is told of what, by the bell, by mail and by webhooks; nothing is lost, nothing named."""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone
from standardwebhooks.webhooks import Webhook as Verifier

from webapp.annotations.services import RunStamp, run_save
from webapp.audit.models import Entry
from webapp.core.errors import InvalidInput
from webapp.jobs.models import Job
from webapp.jobs.services import job_create, shard_claim, shard_fail
from webapp.notices.delivery import TRIES_AFTER, deliver_due
from webapp.notices.models import KINDS, Delivery, Kind, Notice, Webhook
from webapp.notices.services import mail_wish, notices_expire, secret_of, tell, webhook_add
from webapp.reports.services import report_sign
from webapp.results.question import question
from webapp.slides.models import Membership


@contextmanager
def listening(*answers):
    """A server that answers with these, the last again and again; its address, and what it was told."""
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            headers = {key.lower(): value for key, value in self.headers.items()}
            told.append((headers, self.rfile.read(int(headers["content-length"]))))
            code = answers[min(len(told), len(answers)) - 1]
            self.send_response(code)
            if code == 302:
                self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/told", told
    finally:
        server.shutdown()
        server.server_close()


def _due_now():
    Delivery.objects.update(due_at=timezone.now())
    return deliver_due()


def test_what_happens_is_told_once_signed_and_without_a_name(make_slide, make_run, alice, settings):
    settings.SITE_ADDRESS = "https://mitoscope.example.org"
    slide = make_slide("Smith 12", mpp=1.0)
    with listening(204) as (address, told):
        hook = webhook_add(address=address, kinds=[kind.value for kind in KINDS])
        job = job_create(kind=Job.Kind.DETECT, slide=slide, by=alice)
        shard_claim(shard_pk=job.shards.get().pk, worker="a")
        model = make_run(make_slide("other"), []).model
        stamp = RunStamp(model, "0" * 64, {}, 1, 1, "", "cpu", "fp32", 1, 0)
        run = run_save(job=job, stamp=stamp, candidates=[(100, 100, 0.9)])
        report = report_sign(slide=slide, run=run, asked=question(), by=alice)
        job = job_create(kind=Job.Kind.DETECT, slide=slide, by=alice)
        shard_fail(shard=shard_claim(shard_pk=job.shards.get().pk, worker="a"), error="Smith is unreadable")
        assert deliver_due() == 3 and deliver_due() == 0
    said = []
    for headers, body in told:
        said.append(Verifier(secret_of(hook)).verify(body, headers))
        assert b"Smith" not in body and b"alice" not in body
    assert [one["type"] for one in said] == ["detection.done", "report.signed", "job.failed"]
    assert [one["data"]["reference"] for one in said] == [str(run.pk), str(report.pk), str(job.pk)]
    assert {one["data"]["address"] for one in said} == {f"https://mitoscope.example.org/slides/{slide.pk}/"}
    assert {one["data"]["study"] for one in said} == {slide.case.study_id}
    slide.delete()
    assert not Notice.objects.exists() and not Delivery.objects.exists()


def test_a_delivery_that_fails_comes_again_later_and_later_and_is_given_up(make_slide):
    with listening(500, 302, 204) as (address, told):
        webhook_add(address=address, kinds=["slide.ready"])
        tell(Kind.SLIDE_READY, slide=make_slide())
        assert deliver_due() == 1
        failed = Delivery.objects.get()
        assert (failed.state, failed.tries, "answered 500" in failed.answer) == ("waiting", 1, True)
        assert timedelta(seconds=50) < failed.due_at - timezone.now() < timedelta(seconds=61)
        assert deliver_due() == 0
        _due_now()  # a redirect is not followed: what is signed is for one address
        assert "answered 302" in Delivery.objects.get().answer
        _due_now()
        assert (Delivery.objects.get().state, len(told)) == ("delivered", 3)
        identities = {headers["webhook-id"] for headers, _ in told}
        assert len(identities) == 1  # who was told twice can see it
    tell(Kind.SLIDE_READY, slide=make_slide("another"))  # nobody listens there any more
    for _ in range(len(TRIES_AFTER) + 1):
        _due_now()
    given_up = Delivery.objects.first()
    assert (given_up.state, given_up.tries) == ("failed", len(TRIES_AFTER) + 1)
    assert _due_now() == 0


def test_a_process_that_dies_while_it_sends_loses_nothing(make_slide, monkeypatch):
    with listening(204) as (address, told):
        webhook_add(address=address, kinds=["slide.ready"])
        tell(Kind.SLIDE_READY, slide=make_slide())
        with monkeypatch.context() as dying:
            dying.setattr("webapp.notices.delivery.deliver", lambda delivery: (_ for _ in ()).throw(SystemExit))
            with pytest.raises(SystemExit):
                deliver_due()
        assert deliver_due() == 0  # it is held for two minutes
        _due_now()
        assert len(told) == 1


def test_a_webhook_of_a_study_is_told_of_its_slides_alone(make_slide, study):
    from webapp.slides.models import Case, Study

    other = make_slide("elsewhere", case=Case.objects.create(study=Study.objects.create(name="Other"), identifier="c"))
    hook = webhook_add(address="https://lis.example.org/", kinds=["slide.ready", "job.failed"], study=study)
    tell(Kind.SLIDE_READY, slide=other)
    tell(Kind.JOB_FAILED)
    tell(Kind.SIGNED, slide=make_slide())
    assert not hook.deliveries.exists()
    tell(Kind.SLIDE_READY, slide=make_slide("here"))
    assert hook.deliveries.count() == 1


@pytest.mark.parametrize(
    "address",
    ["ftp://host/", "lis", "https://", "https://user:word@host/", "javascript:alert(1)", "file:///etc/passwd"],
)
def test_an_address_that_cannot_be_told_is_refused(address):
    with pytest.raises(InvalidInput, match="address"):
        webhook_add(address=address, kinds=["slide.ready"])


def test_an_address_that_is_told_of_nothing_is_refused():
    with pytest.raises(InvalidInput, match="at least one"):
        webhook_add(address="https://lis.example.org/", kinds=["everything"])


def test_mail_goes_to_whom_it_concerns_and_who_wishes_it(make_slide, alice, bob, settings):
    settings.EMAIL_HOST = "mail.example.org"
    settings.SITE_ADDRESS = "https://mitoscope.example.org"
    for person in (alice, bob):
        User.objects.filter(pk=person.pk).update(email=f"{person}@example.org")
        mail_wish(user=person, kinds=["slide.ready", "nonsense"])
    slide = make_slide("Smith 12", uploaded_by=alice)
    tell(Kind.SLIDE_READY, slide=slide, person=alice)
    tell(Kind.DETECTION_DONE, slide=slide, person=alice)  # not wished
    assert deliver_due() == 1
    (sent,) = mail.outbox
    assert sent.to == ["alice@example.org"] and sent.subject == "Mitoscope: slide ready"
    assert f"https://mitoscope.example.org/slides/{slide.pk}/" in sent.body and "Smith" not in sent.body
    tell(Kind.SLIDE_READY, slide=slide, person=alice)
    Membership.objects.filter(user=alice).delete()  # before it is sent
    deliver_due()
    assert len(mail.outbox) == 1 and Delivery.objects.first().answer.startswith("not sent")


def test_the_bell_counts_what_came_since_one_looked(make_slide, alice, bob, root, client_of):
    def bell(person):
        return client_of(person).get("/slides/").content.decode().split('class="bell"')[1][:80]

    slide = make_slide("seen by members")
    assert "new" not in bell(alice)
    tell(Kind.SLIDE_READY, slide=slide)
    tell(Kind.JOB_FAILED, person=root, what="training")
    tell(Kind.SIGNED, slide=slide, person=alice)  # her own
    assert "1 new" in bell(alice) and "3 new" in bell(root)
    page = client_of(alice).get("/notices/").content.decode()
    assert "seen by members" in page and "training failed" not in page
    assert "new" not in bell(alice) and "3 new" in bell(root)
    Membership.objects.filter(user=alice).delete()
    assert "seen by members" not in client_of(alice).get("/notices/").content.decode()
    Notice.objects.update(at=timezone.now() - timedelta(days=91))
    notices_expire()
    assert not Notice.objects.exists()


def test_administrators_add_test_and_remove_webhooks_on_a_page(root, alice, client_of, make_slide):
    client = client_of(root)
    assert client_of(alice).get("/webhooks/").status_code == 403
    assert (
        "begins with"
        in client.post("/webhooks/", {"do": "add", "address": "x", "kinds": "slide.ready"}).content.decode()
    )
    with listening(204, 500) as (address, told):
        page = client.post("/webhooks/", {"do": "add", "address": address, "kinds": "slide.ready"}).content.decode()
        hook = Webhook.objects.get()
        assert secret_of(hook) in page
        assert secret_of(hook) not in client.get("/webhooks/").content.decode()
        answer = client.post("/webhooks/", {"do": "test", "webhook": hook.pk}, follow=True).content.decode()
        assert "answered 204" in answer and json.loads(told[0][1])["type"] == "test"
        answer = client.post("/webhooks/", {"do": "test", "webhook": hook.pk}, follow=True).content.decode()
        assert "answered 500" in answer
    Delivery.objects.update(state=Delivery.State.FAILED)
    client.post("/webhooks/", {"do": "again", "delivery": Delivery.objects.first().pk})
    assert Delivery.objects.first().state == "waiting"
    for wrong in ({"do": "test", "webhook": "x"}, {"do": "again", "delivery": "x"}):
        assert client.post("/webhooks/", wrong).status_code == 404
    client.post("/webhooks/", {"do": "remove", "webhook": hook.pk})
    assert not Webhook.objects.exists() and not Delivery.objects.exists()
    assert Entry.objects.filter(action="webhook", who="root").count() == 5  # added, tested twice, sent again, removed


def test_what_is_mailed_is_chosen_on_the_page(alice, client_of, settings):
    assert "no mail server" in client_of(alice).get("/notices/").content.decode()
    settings.EMAIL_HOST = "mail.example.org"
    assert "no mail address" in client_of(alice).get("/notices/").content.decode()
    User.objects.filter(pk=alice.pk).update(email="alice@example.org")
    client = client_of(User.objects.get(pk=alice.pk))
    client.post("/notices/", {"mail": ["report.signed", "test"]})
    assert alice.wishes.mail == ["report.signed"]
    assert 'value="report.signed" checked' in client.get("/notices/").content.decode()


@contextmanager
def dripping():
    """A server that begins an answer and never comes to its end."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with suppress(OSError):
                while True:
                    one, _ = server.accept()
                    Thread(target=drip, args=(one,), daemon=True).start()

        def drip(one):
            with one, suppress(OSError):
                one.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while True:
                    one.sendall(b"a")
                    time.sleep(0.1)

        Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.mark.django_db(transaction=True)
def test_who_does_not_answer_is_given_up_and_holds_up_nobody(make_slide, monkeypatch):
    monkeypatch.setattr("webapp.notices.delivery._SECONDS", 1)
    slide = make_slide()
    with dripping() as slow, listening(200) as (good, told):
        for address in (slow, good):
            webhook_add(address=address, kinds=["slide.ready"])
        for _ in range(6):
            tell(Kind.SLIDE_READY, slide=slide)
        began = time.monotonic()
        assert deliver_due() == 7  # one to who does not answer
        assert len(told) == 6 and time.monotonic() - began < 5
    states = Delivery.objects.values_list("webhook__address", "state")
    assert sorted(set(states)) == sorted({(slow, "waiting"), (good, "delivered")})
