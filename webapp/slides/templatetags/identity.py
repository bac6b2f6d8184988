"""`{{ slide|name_for:user }}`: what a person may read as a slide's name."""

from __future__ import annotations

from django import template

from webapp.slides.models import Slide, Viewer

register = template.Library()


@register.filter
def name_for(slide: Slide, user: Viewer) -> str:
    """The file's name for who may see it, the pseudonymous name for all others."""
    return slide.name_for(user)
