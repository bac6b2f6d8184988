"""Reading environment variables; a wrong value stops the program with a sentence."""

from __future__ import annotations

import os
import re
from pathlib import Path

_SECRET = re.compile("KEY|PASSWORD|SECRET|TOKEN|_URL")
_asked: dict[str, str] = {}
_origins: dict[str, str] = {}


def text(name: str, default: str) -> str:
    """The variable, or what stands in the file named by NAME_FILE (docker secrets)."""
    value = os.environ.get(name, default)
    _origins[name] = "environment" if name in os.environ else "default"
    if file := os.environ.get(f"{name}_FILE"):
        try:
            value = Path(file).read_text("utf-8").strip()
        except OSError as error:
            raise SystemExit(f"{name}_FILE={file} cannot be read: {error.strerror}") from error
        _origins[name] = f"file {file}"
        if not value:
            raise SystemExit(f"{name}_FILE={file} is empty; write the value into it, or leave {name}_FILE away")
    if not _SECRET.search(name):
        _asked[name] = value
    return value


def asked() -> dict[str, str]:
    """The settings that were asked for, with their values; without those that are secret."""
    return dict(sorted(_asked.items()))


def origins_of_settings() -> dict[str, str]:
    """Where each setting that was asked for comes from: default, environment or a file; secret ones, too."""
    return dict(sorted(_origins.items()))


def boolean(name: str, default: bool) -> bool:
    """True or False, spelled so."""
    value = text(name, str(default))
    if value.lower() not in {"true", "false"}:
        raise SystemExit(f"{name}={value} is not understood; use True or False")
    return value.lower() == "true"


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number within limits."""
    value = text(name, str(default))
    try:
        number = int(value)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise SystemExit(f"{name}={value} is not understood; use a whole number from {low} to {high}")
    return number


def choice(name: str, default: str, *, of: tuple[str, ...]) -> str:
    """One of a few words."""
    value = text(name, default)
    if value not in of:
        raise SystemExit(f"{name}={value} is not understood; use {' or '.join(of)}")
    return value


def origins(name: str) -> list[str]:
    """A comma-separated list of web origins, such as https://lab.example.org; none by default."""
    found = words(name, "")
    for origin in found:
        if not re.fullmatch(r"https?://[^/\s]+", origin):
            raise SystemExit(f"{name}: {origin} is no origin; write it as https://lab.example.org, without a path")
    return found


def words(name: str, default: str) -> list[str]:
    """A comma-separated list."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]
