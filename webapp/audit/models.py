"""The audit table: who did what, when, from where, to what. It is added to and never changed.

It knows no other table, so that what it says of a person or a slide stays when they are deleted. The database itself
refuses to change or to delete a row (migration 0001).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NoReturn

from django.db import models


class Action(StrEnum):
    """What is recorded."""

    SIGNED_IN = "signed in"
    SIGN_IN_FAILED = "sign-in failed"
    SIGN_IN_REFUSED = "sign-in refused"
    SIGNED_OUT = "signed out"
    PASSWORD_CHANGED = "password changed"
    PASSWORD_RESET_ASKED = "password reset asked for"
    SECOND_FACTOR = "second factor"
    TOKEN_MADE = "token made"
    TOKEN_REVOKED = "token revoked"
    SLIDE_UPLOADED = "slide uploaded"
    SLIDE_DRAWN = "slide drawn"
    SLIDE_OPENED = "slide opened"
    IDENTITY_SEEN = "identity seen"
    SLIDE_ASSIGNED = "slide assigned"
    SLIDE_MOVED = "slide moved"
    SLIDE_DELETED = "slide deleted"
    CASE_DELETION = "deletion of a patient"  # asked for, withdrawn, done
    MPP_ENTERED = "um/px entered"
    VERDICT = "verdict"
    READING = "blinded reading begun, done or ended"
    SCREENING = "screening begun or forgotten"
    REGION_DRAWN = "region drawn"
    REGION_REMOVED = "region removed"
    IMPORTED = "imported"
    RECEIVED = "received by DICOMweb"
    EXPORTED = "exported"
    SIGNED = "report signed"
    PROMOTED = "version promoted"
    STUDY_MADE = "study made"
    STUDY_CHANGED = "study changed"
    ROLE = "role"
    CASE_LOCKED = "case locked"
    CASE_UNLOCKED = "case unlocked"
    TRAINING_ASKED = "training asked for"
    REMOVED = "removed from training"
    REMOVAL_ENDED = "removal ended"
    DELETED = "deleted"
    PERSON = "person"
    JOB_ASKED = "job asked for"
    JOB_CANCELLED = "job cancelled"
    JOB_RETRIED = "job tried again"
    MINED_JUDGED = "mined samples judged"
    MITOSIS_FREE = "marked mitosis-free"
    ADMIN = "changed in the admin"
    SETTINGS = "settings"
    WEBHOOK = "webhook"


class Entry(models.Model):
    """One thing that was done.

    who, who_id: name and key of the person, "" and null where nobody was signed in. origin: the address of the client,
    or which process. request: the id that the log has of it. kind, object_id, object: what it was done to. before,
    after: JSON, "" for nothing. seal: HMAC of all of these, by a key that is not in the database. number, chain: its
    place among all, given right after the transaction that wrote it, and the HMAC of the chain so far and this seal.
    """

    at = models.DateTimeField(db_index=True)
    who = models.CharField(max_length=150, blank=True, db_index=True)
    who_id = models.BigIntegerField(null=True)
    origin = models.CharField(max_length=100, blank=True, db_index=True)
    request = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=40, db_index=True)
    kind = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=64, blank=True, db_index=True)
    object = models.TextField(blank=True)
    before = models.TextField(blank=True)
    after = models.TextField(blank=True)
    seal = models.CharField(max_length=64)
    number = models.BigIntegerField(null=True, unique=True)
    chain = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.who or 'nobody'}: {self.action} {self.object}".rstrip()

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("What is recorded is never deleted.")
