"""`python manage.py make_bucket`: for an S3 server of one's own, on which there is no bucket yet."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from webapp.core.bucket import bucket_make


class Command(BaseCommand):
    """Doing so twice is doing it once."""

    help = "Make S3_BUCKET where it is not there yet."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.S3_BUCKET:
            raise CommandError("S3_BUCKET is empty, so slides are kept in DATA_DIR; name a bucket in .env first.")
        try:
            made = bucket_make()
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"The bucket {settings.S3_BUCKET} cannot be made: {error}") from error
        self.stdout.write(f"The bucket {settings.S3_BUCKET} {'has been made' if made else 'is there already'}.")
