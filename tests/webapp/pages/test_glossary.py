"""The glossary: every term once, each linked from where it stands."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.template import Context, Template

from webapp.pages.terms import TERMS

pytestmark = pytest.mark.django_db


def test_every_term_is_there_and_every_link_leads_to_one(client, alice):
    client.force_login(alice)
    page = client.get("/glossary/").content.decode()
    assert re.findall(r'<dt id="([^"]+)"', page) == sorted(TERMS, key=lambda key: TERMS[key][0].lower())
    used = set()
    for path in (settings.BASE_DIR / "templates").rglob("*.html"):
        used |= set(re.findall(r'{% term "([^"]+)"', path.read_text("utf-8")))
    assert {"hotspot", "mitotic-score", "evaluable", "f1"} <= used <= set(TERMS)


def test_a_term_says_its_meaning_where_it_stands():
    said = Template('{% load terms %}{% term "recall" "Sensitivity" %}').render(Context())
    assert '/glossary/#recall"' in said and TERMS["recall"][1] in said and said.endswith(">Sensitivity</a>")
