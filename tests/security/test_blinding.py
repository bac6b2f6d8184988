"""A blinded reader learns nothing of another: every answer is the same before and after the other has judged.

As a reader, a manager and an administrator, of every address that answers GET, of the slide, the own copy and the other
copy; with the detector's candidates shown and hidden.
"""

from __future__ import annotations

import re
from io import BytesIO
from zipfile import ZipFile

import pytest
from django.urls import reverse

from tests.addresses import addresses
from tests.rows import Rows
from tests.webapp.api.test_queries import gets
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.readings.services import readings_begin
from webapp.screening.services import cells_see
from webapp.slides.models import Membership, Reading

# What differs from call to call: tokens, boundaries of multipart answers, how long ago it was; and of the audit chain
# length and head, which say that something was done here, and not what.
PASSING = re.compile(
    r'csrf[^>]*|value="[\w-]{64}"|\b[0-9a-f]{32}\b|\b[0-9a-f]{64}\b|of [\d,]+ entries'
    r"|\d+.{1,3}(second|minute)s? ago|a minute ago|now</td>"
)
NOT_COMPARED = {"metrics", "health", "api:health", "server", "logout", "api:schema", "api:docs"}
ASKED = {"api:crop": {"x": 100, "y": 100}, "audit": {"action": "verdict"}}
CANDIDATES = [(10.0, 10.0, 0.9), (30.0, 30.0, 0.8), (50.0, 50.0, 0.7)]


@pytest.fixture
def ben(django_user_model, study):
    user = django_user_model.objects.create_user("ben")
    Membership.objects.create(study=study, user=user)
    return user


def answers(client, rows, slides):
    """What every address answers, by name and slide."""
    said = {}
    for name, begins, of, view in addresses():
        if name in NOT_COMPARED or not gets(view):
            continue
        for number, slide in enumerate(slides if begins == "slides/" else slides[:1]):
            more = {"level": 6, "column": 0, "row": 0, "number": 0, "key": "k", "other": rows.slide.pk}
            more |= {"figure": rows.figure.pk, "pk": slide.pk, **rows.dicom}
            if begins != "slides/" and "pk" in of:
                try:
                    more |= rows.arguments(begins)
                except KeyError:  # of no study
                    continue
            if not of <= more.keys():
                continue
            address = reverse(name, kwargs={one: more[one] for one in of})
            asked = ASKED.get(name) or rows.asked(name)
            forms = {"api:export": ("csv", "geojson"), "api:study-export": ("csv",)}
            for form in forms.get(name, ("",)):
                answer = client.get(address, {**asked, **({"format": form} if form else {})})
                body = b"".join(answer) if answer.streaming else answer.content
                if name == "api:study-export" and answer.status_code == 200:
                    with ZipFile(BytesIO(body)) as zipped:
                        body = b"".join(name.encode() + zipped.read(name) for name in zipped.namelist())
                said[name, number, form] = answer.status_code, PASSING.sub("", body.decode("latin-1"))
    return said


def apart(before, after):
    """Where two answers begin to differ."""
    (_, one), (_, other) = before, after
    place = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    return before[0], after[0], one[max(0, place - 60) : place + 40], other[max(0, place - 60) : place + 40]


@pytest.mark.parametrize(("kind", "shown"), [("reader", False), ("manager", True), ("administrator", False)])
def test_nothing_of_another_reader_is_seen(kind, shown, alice, ben, root, make_slide, make_run, client_of):
    slide = make_slide("read", mpp=1.0)
    make_run(slide, CANDIDATES)
    rows = Rows(root, alice, other := make_slide(mpp=1.0), make_run(other, [(1.0, 1.0, 0.9)]))
    rows.make(1)
    me = root if kind == "administrator" else alice
    Membership.objects.filter(user=me).update(role=Membership.Role.MANAGER if kind == "manager" else "reader")
    readings_begin(slides=[slide], readers=[me, ben], by=root, rounds=[shown])
    mine, bens = (Reading.objects.get(reader=one, slide=slide).copy for one in (me, ben))
    client = client_of(me)
    answers(client, rows, [mine, slide, bens])  # notices are seen, counts are made
    before = answers(client, rows, [mine, slide, bens])
    assert {before["slide", 0, ""][0], before["slide", 1, ""][0]} == {200, 302} and before["slide", 2, ""][0] == 404
    for x, label in ((10, Label.MITOTIC), (30, Label.NON_MITOTIC), (333, Label.MITOTIC)):
        figure_judge(slide=bens, by=ben, label=label, x=x, y=x)
    cells_see(slide=bens, reader=ben, runs=[[0, 0, 2]])
    after = answers(client, rows, [mine, slide, bens])
    assert {key: apart(before[key], after[key]) for key in before if before[key] != after[key]} == {}
    figure_judge(slide=mine, by=me, label=Label.MITOTIC, x=10, y=10)
    own = answers(client, rows, [mine, slide, bens])
    assert {"api:figures", "api:mitosis-count", "api:export"} <= {key[0] for key in own if own[key] != after[key]}
