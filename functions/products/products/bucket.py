"""The bucket of the pictures: where a browser uploads a file, and where the renditions are that the shop serves.

uploads/<product id>/<image id>            the file as it was uploaded, until it is scaled or refused
media/<image id>/<digest>-<width>.webp     a rendition; the digest is the uploaded file's, so a name never changes
                                           its content, and a cache may keep it for good
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from products.images import MAX_BYTES, Image, Size

UPLOADS = "uploads/"
_VALID_FOR = timedelta(minutes=15)
_FOR_GOOD = "public, max-age=31536000, immutable"
_GONE = {"NoSuchKey", "NoSuchVersion", "404"}


@dataclass(frozen=True)
class Form:
    """A form for one file: its fields go into a multipart POST to `url`, before the field `file`."""

    url: str
    fields: dict[str, str]
    expires_at: datetime


def upload_key(product_id: str, image_id: str) -> str:
    return f"{UPLOADS}{product_id}/{image_id}"


def path_of(image_id: str, digest: str, size: Size) -> str:
    """The path of a rendition on the shop's site; its key is the same without the slash."""
    return f"/{_folder(image_id)}{digest}-{size.width}.webp"


def paths_of(image: Image) -> list[str]:
    return [path_of(image.image_id, image.digest, size) for size in image.sizes]


def _folder(image_id: str) -> str:
    return f"media/{image_id}/"


class Bucket:
    def __init__(self, name: str) -> None:
        self._name = name

    def form(self, product_id: str, image_id: str, return_to: str, now: datetime) -> Form:
        """A form that S3 takes for a quarter of an hour, for this picture alone and for at most 10 MB.

        The media type is the same for all: what a client says of its file decides nothing, and a file that is never
        served needs none. S3 sends a browser to `return_to` after the upload; without it, the answer is 204.
        """
        fields = {"Content-Type": "application/octet-stream"}
        fields |= {"success_action_redirect": return_to} if return_to else {"success_action_status": "204"}
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        made = aws.client("s3").generate_presigned_post(
            self._name,
            upload_key(product_id, image_id),
            Fields=fields,
            Conditions=[*conditions, ["content-length-range", 1, MAX_BYTES]],
            ExpiresIn=int(_VALID_FOR.total_seconds()),
        )
        return Form(made["url"], made["fields"], now + _VALID_FOR)

    def read_upload(self, product_id: str, image_id: str) -> bytes | None:
        """None where there is no file, or no longer."""
        with _transient():
            try:
                answer = aws.client("s3").get_object(Bucket=self._name, Key=upload_key(product_id, image_id))
                content: bytes = answer["Body"].read(MAX_BYTES + 1)
            except ClientError as error:
                if error.response["Error"]["Code"] in _GONE:
                    return None
                raise
            return content

    def write_rendition(self, path: str, content: bytes) -> None:
        with _transient():
            aws.client("s3").put_object(
                Bucket=self._name,
                Key=path.removeprefix("/"),
                Body=content,
                ContentType="image/webp",
                CacheControl=_FOR_GOOD,
            )

    def keep_only(self, product_id: str, image_id: str, paths: Iterable[str]) -> None:
        """Removes the uploaded file and all renditions of the picture but `paths`. Idempotent."""
        kept = {path.removeprefix("/") for path in paths}
        with _transient():
            found = aws.client("s3").list_objects_v2(Bucket=self._name, Prefix=_folder(image_id))
            keys = [one["Key"] for one in found.get("Contents", [])]
            for key in [upload_key(product_id, image_id), *(key for key in keys if key not in kept)]:
                aws.client("s3").delete_object(Bucket=self._name, Key=key)


@contextlib.contextmanager
def _transient() -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"the bucket of the pictures: {error}") from error
