"""Errors for the user. Anything else is a bug and goes to the log with its traceback."""

from __future__ import annotations


class DomainError(Exception):
    """Refused; the message says why and what to do. status: of the HTTP answer."""

    status = 409


class InvalidInput(DomainError):
    """The input cannot be used."""

    status = 400


class NotAllowed(DomainError):
    """The person may see this, but not do it."""

    status = 403


class Gone(DomainError):
    """It existed and no longer does."""

    status = 410


class TooLarge(DomainError):
    """More bytes than the limit allows."""

    status = 413


class NoRoom(DomainError):
    """The disk of the server has no room for it."""

    status = 507


class Busy(DomainError):
    """Locked by another request; retry later."""

    status = 423


class TooMany(DomainError):
    """The person's limit is reached."""

    status = 429
