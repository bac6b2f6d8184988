"""What tests of all calls share."""

from __future__ import annotations

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from webapp.annotations.models import Label, Region
from webapp.annotations.services import figure_judge, region_draw
from webapp.slides.uploads import upload_create


@pytest.fixture
def ids(alice, study, make_slide, make_run, root):
    """Something real behind every kind of key, so that calls get further than 404."""
    slide = make_slide()
    run = make_run(slide, [(100, 50, 0.95), (200.5, 60, 0.5), (300, 70, 0.49)])
    figure = figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=100, y=50)
    region = region_draw(slide=slide, by=alice, kind=Region.Kind.TUMOUR, polygon=[[0, 0], [500, 0], [500, 400]])
    upload = upload_create(user=root, study=study, name="x.tif", size=10)
    return {
        "slides": slide.pk, "figure": figure.pk, "region": region.pk, "uploads": upload.pk, "studies": study.pk,
        "models": run.model_id, "run": run.pk, "other": run.pk, "username": "alice",
    }  # fmt: skip


@pytest.fixture
def one_connection(db):
    """The calls see the test's transaction: as Django's own client does, no request closes the connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
