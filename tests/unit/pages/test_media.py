"""The pictures of products, served without a CDN."""

from __future__ import annotations

import base64
from typing import Any

import boto3
import pytest

import console.wiring
import storefront.wiring
from mercato import aws
from tests.unit.pages.conftest import Ask

IMAGE = "39a570c0-165d-5d6c-9b70-de90dae7265b"
PATH = f"/media/{IMAGE}/18b89dbf6465a3c97790-320.webp"


@pytest.fixture
def bucket(cloud: None, api: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = boto3.client("s3", "us-east-1")
    found.create_bucket(Bucket="media-bucket")
    found.put_object(Bucket="media-bucket", Key=PATH.removeprefix("/"), Body=b"RIFF of a picture")
    found.put_object(Bucket="media-bucket", Key=f"uploads/p/{IMAGE}", Body=b"<script>")
    monkeypatch.setenv("MEDIA_BUCKET", "media-bucket")
    for wiring in (storefront.wiring, console.wiring):
        wiring.ports.cache_clear()
    return found


@pytest.mark.parametrize("site", ["shop", "desk"])
def test_a_picture_may_be_kept_for_good(site: str, bucket: Any, request: pytest.FixtureRequest) -> None:
    ask: Ask = request.getfixturevalue(site)
    answer = ask("GET", PATH)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert base64.b64decode(answer.text) == b"RIFF of a picture"


@pytest.mark.parametrize(
    "path",
    [
        PATH.replace("320", "640"),
        f"/media/{IMAGE}/x.webp",
        f"/media/..%2Fuploads%2Fp/{IMAGE}",
        f"/media/..%2F..%2Fuploads/{IMAGE}",
        "/media/x",
    ],
)
def test_nothing_else_of_the_bucket_is_there(path: str, bucket: Any, shop: Ask) -> None:
    assert shop("GET", path).status == 404


def test_a_bucket_that_fails_says_when_to_come_again(bucket: Any, shop: Ask) -> None:
    bucket.delete_object(Bucket="media-bucket", Key=PATH.removeprefix("/"))
    bucket.delete_object(Bucket="media-bucket", Key=f"uploads/p/{IMAGE}")
    bucket.delete_bucket(Bucket="media-bucket")
    aws.reset()
    assert shop("GET", PATH).status == 503


def test_a_site_without_a_bucket_has_no_pictures(cloud: None, shop: Ask) -> None:
    assert shop("GET", PATH).status == 404
