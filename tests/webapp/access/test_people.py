"""People are invited, locked, and given new passwords by administrators, on a page; each link serves once."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

from tests.recorded import recorded
from webapp.access.people import INVITED_FOR, Invitations, invitation_path, person_invite
from webapp.audit.models import Action
from webapp.core.errors import InvalidInput
from webapp.slides.models import Membership

PASSWORD = {"new_password1": "a long and good one", "new_password2": "a long and good one"}


def _link(answer) -> str:
    return re.search(r'value="(http://[^"]+/password/invitation/[^"]+)"', answer.content.decode())[1]


def test_who_is_invited_sets_a_password_once_and_is_of_the_study(client_of, root, study):
    sent = {"do": "invite", "username": "dora", "first_name": "Dora", "study": study.pk, "role": "manager"}
    link = _link(client_of(root).post("/people/", sent))
    assert Membership.objects.get(user__username="dora").role == "manager"
    assert link not in client_of(root).get("/people/").content.decode()
    dora = Client()
    form = dora.get(link)
    assert form.status_code == 302  # the secret leaves the address
    assert dora.post(form["Location"], PASSWORD)["Location"] == "/login/"
    assert Client().login(username="dora", password=PASSWORD["new_password1"])
    assert "used before or is too old" in Client().get(link, follow=True).content.decode()
    assert recorded(Action.PASSWORD_RESET_ASKED)[-1] == ("root", None, {"link": "shown"})


def test_a_link_is_mailed_where_there_is_mail(client_of, root, settings, monkeypatch):
    settings.EMAIL_HOST = "mail.example.org"
    sent = {"do": "invite", "username": "dora", "email": "dora@example.org"}
    answer = client_of(root).post("/people/", sent, follow=True)
    assert "on its way to dora@example.org" in answer.content.decode() and "/invitation/" not in answer.content.decode()
    (message,) = mail.outbox
    (address,) = re.findall(r"http://testserver(/password/invitation/\S+)", message.body)
    assert Client().get(address).status_code == 302

    def away(*_, **__):
        raise ConnectionRefusedError("Connection refused")

    monkeypatch.setattr("webapp.pages.people.send_mail", away)
    sent = {"do": "link", "person": User.objects.get(username="dora").pk}
    assert _link(client_of(root).post("/people/", sent))  # nobody is left without a way in


def test_a_link_is_good_for_a_week_and_for_its_person(db, alice, bob, monkeypatch):
    path = invitation_path(alice)
    token = path.rstrip("/").rpartition("/")[2]
    invitations = Invitations()
    assert invitations.check_token(alice, token) and not invitations.check_token(bob, token)
    now = invitations._now()
    for after, good in ((INVITED_FOR - timedelta(hours=1), True), (INVITED_FOR + timedelta(hours=1), False)):
        monkeypatch.setattr(invitations, "_now", lambda after=after: now + after)
        assert invitations.check_token(alice, token) is good
    for wrong in ("", "-", "x", "zz-zz", None, token[:-1]):
        assert not invitations.check_token(alice, wrong)
    assert Client().get(path.replace("invitation", "reset"), follow=True).status_code == 404  # of another kind


def test_a_locked_person_is_out_at_once_and_comes_back_with_all_that_was_theirs(client_of, root, alice):
    hers = client_of(alice)
    assert hers.get("/").status_code == 200
    client_of(root).post("/people/", {"do": "lock", "person": alice.pk})
    assert hers.get("/").status_code == 302 and Membership.objects.filter(user=alice).exists()
    assert (
        "is locked"
        in client_of(root).post("/people/", {"do": "link", "person": alice.pk}, follow=True).content.decode()
    )
    client_of(root).post("/people/", {"do": "open", "person": alice.pk})
    assert User.objects.get(pk=alice.pk).is_active
    own = client_of(root).post("/people/", {"do": "lock", "person": root.pk}, follow=True)
    assert "your own account" in own.content.decode() and User.objects.get(pk=root.pk).is_active
    assert [after["is_active"] for _, before, after in recorded(Action.PERSON, alice) if before] == [False, True]


@pytest.mark.parametrize(
    ("named", "words"),
    [({"username": ""}, "blank"), ({"username": "a b"}, "valid username"), ({"username": "alice"}, "already exists"),
     ({"username": "x", "email": "nobody"}, "valid email"), ({"username": "x" * 151}, "150")],
)  # fmt: skip
def test_who_cannot_be_invited_is_said(alice, named, words):
    with pytest.raises(InvalidInput, match=words):
        person_invite(**named)
    assert User.objects.filter(username="x").count() == 0


def test_people_are_found_and_what_is_not_known_is_refused(client_of, root, alice, bob):
    page = client_of(root).get("/people/?search=ali").content.decode()
    assert "alice" in page and ">bob" not in page
    assert client_of(alice).get("/people/").status_code == 403
    assert client_of(root).post("/people/", {"do": "lock", "person": "x"}).status_code == 404
    assert "Nothing was done" in client_of(root).post("/people/", {}, follow=True).content.decode()
    broken = {"do": "invite", "username": "new", "study": 10**6}
    assert client_of(root).post("/people/", broken).status_code == 404
    assert not User.objects.filter(username="new").exists()
