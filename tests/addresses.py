"""Every address of the site, from the URL configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.urls import URLPattern, URLResolver, get_resolver


class Address(NamedTuple):
    """name: with namespace. begins: path without api/v1/, up to the first thing that it is of; of: their names."""

    name: str
    begins: str
    of: set[str]
    view: Callable[..., Any]


def addresses(
    patterns: list[Any] | None = None, name: str = "", path: str = "", of: frozenset[str] = frozenset()
) -> Iterator[Address]:
    """All of them, those of the admin left out."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        below = path + str(entry.pattern).lstrip("^")
        named = of | entry.pattern.regex.groupindex.keys()
        if isinstance(entry, URLResolver):
            if entry.namespace != "admin":
                yield from addresses(
                    entry.url_patterns, f"{entry.namespace}:" if entry.namespace else name, below, named
                )
        elif isinstance(entry, URLPattern):
            begins = below.removeprefix("api/v1/").partition("<")[0].partition("(")[0]
            yield Address(f"{name}{entry.name}", begins, set(named), entry.callback)
