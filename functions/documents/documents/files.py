"""The documents' files in S3, under the documents' ids."""

from __future__ import annotations

from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError

_VALID_FOR = timedelta(minutes=5)


class Files:
    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def keep(self, document_id: str, content: bytes) -> None:
        try:
            aws.client("s3").put_object(
                Bucket=self._bucket, Key=_key(document_id), Body=content, ContentType="application/pdf"
            )
        except (ClientError, BotoCoreError) as error:
            raise TransientError(f"the bucket of the documents: {error}") from error

    def link(self, document_id: str, number: str, now: datetime) -> tuple[str, datetime]:
        """A signed address of this file, which needs no token, and when it expires. Makes no call to S3."""
        shown = {"ResponseContentDisposition": f'inline; filename="{number}.pdf"', "ResponseCacheControl": "no-store"}
        url: str = aws.client("s3").generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": _key(document_id)} | shown,
            ExpiresIn=int(_VALID_FOR.total_seconds()),
        )
        return url, now + _VALID_FOR


def _key(document_id: str) -> str:
    return f"documents/{document_id}.pdf"
