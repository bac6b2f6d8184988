"""A study with a manager and three readers, and a slide that two of them read blinded."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.readings.services import readings_begin
from webapp.slides.models import Membership, Reading

CANDIDATES = [(100.0, 100.0, 0.9), (200.0, 100.0, 0.8), (300.0, 100.0, 0.7), (400.0, 300.0, 0.3)]


@pytest.fixture
def manager(study):
    user = User.objects.create_user("manager", password="pw")
    Membership.objects.create(study=study, user=user, role=Membership.Role.MANAGER)
    return user


@pytest.fixture
def ben(study):
    user = User.objects.create_user("ben", password="pw")
    Membership.objects.create(study=study, user=user)
    return user


@pytest.fixture
def carla(study):
    user = User.objects.create_user("carla", password="pw")
    Membership.objects.create(study=study, user=user)
    return user


@pytest.fixture
def slide(make_slide, make_run):
    """Three candidates above the threshold and one below."""
    slide = make_slide("glass", mpp=1.0)
    make_run(slide, CANDIDATES)
    return slide


@pytest.fixture
def begin(manager, alice, ben):
    """Have alice and ben read slides blinded; the copy of each."""

    def begin(*slides, readers=(alice, ben), rounds=(True,), **options):
        readings_begin(slides=slides, readers=readers, by=manager, rounds=rounds, **options)
        return tuple(Reading.objects.get(slide=slides[0], reader=reader, round=1).copy for reader in readers)

    return begin


@pytest.fixture
def judge():
    """Give verdicts {x: "m", "n" or "u"} on a slide, all at y = 100."""
    labels = {"m": Label.MITOTIC, "n": Label.NON_MITOTIC, "u": Label.UNSURE}

    def judge(slide, by, said, y=100.0):
        for x, label in said.items():
            figure_judge(slide=slide, by=by, label=labels[label], x=x, y=y)

    return judge
