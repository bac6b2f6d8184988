"""Errors for the person who asked. Anything else is a fault of ours and goes to the log with its traceback."""

from __future__ import annotations


class DomainError(Exception):
    """Cannot be done now; the message says why and what to do. status: the HTTP status that fits."""

    status = 409


class InvalidInput(DomainError):
    """What was given cannot be used."""

    status = 400


class NotAllowed(DomainError):
    """The person may see this, but not do it."""

    status = 403


class Gone(DomainError):
    """It was there and is no more."""

    status = 410


class TooLarge(DomainError):
    """More bytes than there is room for."""

    status = 413


class Busy(DomainError):
    """Somebody else is at it this moment; trying again later helps."""

    status = 423


class TooMany(DomainError):
    """The person has asked for as much as one person may at a time."""

    status = 429
