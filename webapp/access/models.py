"""What is known of API tokens besides, people at the provider, passkeys, and answers that are kept.

An answer to a call with an Idempotency-Key is kept so that one repeated is done once.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models
from knox.models import AuthToken


class TokenUse(models.Model):
    """What a token is for, and when it was last used (to the minute)."""

    token = models.OneToOneField(AuthToken, on_delete=models.CASCADE, primary_key=True, related_name="use")
    name = models.CharField(max_length=100, blank=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name or "unnamed token"


class ProviderIdentity(models.Model):
    """Who a person is at the hospital's provider (OpenID Connect)."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="provider_identity")
    issuer = models.CharField(max_length=300)
    subject = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="one_person_per_subject")]
        verbose_name = "identity at the provider"
        verbose_name_plural = "identities at the provider"

    def __str__(self) -> str:
        return f"{self.user} at {self.issuer}"


class Passkey(models.Model):
    """A passkey of a person (WebAuthn). credential: its id, base64url. sign_count: of its last use, or 0."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="passkeys")
    name = models.CharField(max_length=100)
    credential = models.CharField(max_length=1400, unique=True)
    public_key = models.BinaryField()
    sign_count = models.BigIntegerField(default=0)
    made_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["made_at"]

    def __str__(self) -> str:
        return self.name


class Answer(models.Model):
    """The answer to a POST with an Idempotency-Key. fingerprint: SHA-256 of address and body."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=bytes)
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_answer_per_key")]

    def __str__(self) -> str:
        return f"{self.key}: {self.status}"
