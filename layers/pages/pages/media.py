"""The pictures of products, from their bucket. Where a CDN stands before the site, it answers instead of this."""

from __future__ import annotations

import re

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError

_RENDITION = re.compile(r"[0-9a-f-]{36}/[0-9a-f]{20}-[0-9]{1,4}\.webp")


def read_rendition(bucket: str, image_id: str, name: str) -> bytes | None:
    """None where there is none. Raises TransientError."""
    if not bucket or not _RENDITION.fullmatch(f"{image_id}/{name}"):
        return None
    try:
        answer = aws.client("s3").get_object(Bucket=bucket, Key=f"media/{image_id}/{name}")
        content: bytes = answer["Body"].read()
    except ClientError as error:
        # S3 says AccessDenied of what is not there to a reader that may not list.
        if error.response["Error"]["Code"] in ("NoSuchKey", "AccessDenied"):
            return None
        raise TransientError(f"a picture cannot be read: {error}") from error
    except BotoCoreError as error:
        raise TransientError(f"a picture cannot be read: {error}") from error
    return content
