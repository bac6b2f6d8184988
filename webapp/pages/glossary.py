"""The glossary."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.pages.terms import TERMS


@login_required
def glossary(request: HttpRequest) -> HttpResponse:
    """Every term of the pages."""
    terms = sorted(((key, *said) for key, said in TERMS.items()), key=lambda row: row[1].lower())
    return render(request, "glossary.html", {"terms": terms})
