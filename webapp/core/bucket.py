"""The S3 bucket of the settings, of slides and of weights that were trained here."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings
from django.core.files.storage import storages


def s3_bucket() -> Any:
    """The bucket of boto3, or None where files are kept in DATA_DIR alone."""
    storage: Any = storages["slides"] if settings.S3_BUCKET else None
    return storage and storage.bucket


def is_missing(error: ClientError) -> bool:
    """Whether the bucket answers that it does not have this; else it does not answer, or refuses."""
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 404)


def bucket_make() -> bool:
    """Make the bucket of the settings; False where it is there already. Raises what boto3 raises."""
    bucket = s3_bucket()
    try:
        bucket.meta.client.head_bucket(Bucket=bucket.name)
    except ClientError as error:
        if not is_missing(error):
            raise
        bucket.create()
        return True
    return False
