"""Outputs in S3, or in what speaks its language; loaded only where APG_OUTPUT_STORAGE names a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import ContentFile, File
from storages.backends.s3 import S3Storage

_ABSENT = frozenset({"404", "NoSuchKey"})


class S3OutputStorage(S3Storage):  # type: ignore[misc]  # django-storages has no types
    """A bucket; what goes wrong there is an OSError, as it would be on a disk."""

    def __init__(self, **options: Any) -> None:
        client = Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"mode": "standard", "max_attempts": 3},
            s3={"addressing_style": "path"} if options.get("endpoint_url") else None,
        )
        # Keys are never used twice, so nobody need ask whether one is taken.
        super().__init__(file_overwrite=True, default_acl=None, client_config=client, **options)

    def _save(self, name: str, content: "File[bytes]") -> str:
        with _as_os_error():
            saved: str = super()._save(name, content)
            return saved

    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        with _as_os_error():
            found = self.bucket.Object(self._normalize_name(name)).get()
            return ContentFile(found["Body"].read(), name)

    def delete(self, name: str) -> None:
        with _as_os_error():
            super().delete(name)


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _ABSENT:
            raise FileNotFoundError from None
        raise OSError(f"S3 answered {code}") from None
    except (BotoCoreError, Boto3Error) as error:
        raise OSError(f"S3 cannot be reached: {type(error).__name__}") from None
