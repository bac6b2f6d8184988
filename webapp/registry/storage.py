"""Where weights are kept: on this machine, and where there is a bucket those that were trained here in it as well."""

from __future__ import annotations

import os
from pathlib import Path

from botocore.exceptions import ClientError

from webapp.core.bucket import is_missing, s3_bucket


def weights_keep(path: Path, sha256: str) -> None:
    """Put weights that were trained here, and the card beside them, into the bucket, for workers elsewhere."""
    if (bucket := s3_bucket()) is not None:
        for one in (path, path.with_suffix(".json")):
            bucket.upload_file(str(one), f"weights/{sha256}{one.suffix}")


def weights_fetched(path: Path, sha256: str) -> Path:
    """The weights on this machine, fetched with their card where they are missing; a few MB, so they stay.

    Where the bucket has none either nothing is done: who opens the file says so.
    """
    if path.exists() or (bucket := s3_bucket()) is None:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    for one in (path.with_suffix(".json"), path):  # the weights last: they say that both are there
        partial = one.with_name(f"{one.name}.{os.getpid()}")
        try:
            bucket.download_file(f"weights/{sha256}{one.suffix}", str(partial))
        except ClientError as error:
            if is_missing(error):
                return path
            raise
        partial.replace(one)
    return path
