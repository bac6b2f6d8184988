"""`{% term "hotspot" %}`, or in other words `{% term "hotspot" "Hotspots" %}`: a term, linked, with its meaning.

`{{ sentence|printed }}`: with the units as they are printed.
"""

from __future__ import annotations

from django import template
from django.urls import reverse
from django.utils.html import format_html

from webapp.core.units import printed
from webapp.pages.terms import TERMS

register = template.Library()
register.filter(printed)


@register.simple_tag
def term(name: str, words: str = "") -> str:
    """A link to the glossary. Raises KeyError for a term that it does not have."""
    said, meaning = TERMS[name]
    return format_html(
        '<a class="term" href="{}#{}" title="{}">{}</a>', reverse("glossary"), name, meaning, words or said
    )
