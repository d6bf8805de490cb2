"""A picture from its upload form through S3, the event and the scaler to the product and the bucket."""

from __future__ import annotations

import uuid
from typing import Any

from infra.local.stack import Stack
from infra.local.up import LocalShop
from infra.operator.client import Session, poll
from infra.operator.target import State
from tests.e2e.client import HTTP
from tests.kit.picture_files import photograph, png_bomb


def uploaded(admin: Session, product_id: str, content: bytes) -> Any:
    """Uploads the picture, waits until it is ready or refused, and returns it."""
    image = admin.post(f"/products/images/{product_id}", {"alt": "A lantern"}, key=str(uuid.uuid4()))
    form = image["upload"]
    answer = HTTP.post(form["url"], data=form["fields"], files={"file": ("a.jpg", content)}, timeout=30)
    assert answer.status_code == 204, answer.text
    path = f"/products/images/{product_id}/{image['id']}"
    return poll(lambda: admin.get(path), lambda seen: seen["state"] != "awaited", what="the picture", within=90)


def removed(admin: Session, product_id: str, image: Any) -> None:
    admin.delete(f"/products/images/{product_id}/{image['id']}")


def test_an_uploaded_picture_is_scaled_shown_and_deleted(admin: Session, shop_state: State, running: LocalShop) -> None:
    product_id = running.goods[-1].product_id
    image = uploaded(admin, product_id, photograph(2000, 1500, place=True))
    assert image["state"] == "ready"
    assert [one["width"] for one in image["variants"]] == [320, 640, 1280]
    shown = HTTP.get(f"{shop_state.base_url}/api/products/{product_id}").json()["images"]
    assert shown[-1]["id"] == image["id"]
    site = Stack.read(running.cloud).site_url("StorefrontSite")
    for origin in (shop_state.base_url, site):  # as a CDN serves it, and as the site itself does without one
        found = HTTP.get(origin + image["url"], timeout=60)
        assert (found.status_code, found.headers["Content-Type"]) == (200, "image/webp")
        assert "immutable" in found.headers["Cache-Control"]
        assert b"EXIF" not in found.content
    removed(admin, product_id, image)
    gone = poll(
        lambda: HTTP.get(shop_state.base_url + image["url"]).status_code,
        lambda status: status == 404,
        what="the file is gone",
        within=90,
    )
    assert gone == 404


def test_a_bomb_is_refused_with_its_reason(admin: Session, running: LocalShop) -> None:
    product_id = running.goods[-1].product_id
    image = uploaded(admin, product_id, png_bomb())
    assert (image["state"], image["variants"]) == ("refused", [])
    assert "40 million" in image["reason"]
    removed(admin, product_id, image)


def test_the_bucket_itself_gives_nothing_to_strangers(admin: Session, running: LocalShop) -> None:
    product_id = running.goods[-1].product_id
    image = uploaded(admin, product_id, photograph())
    bucket = running.cloud.endpoint + "/" + Stack.read(running.cloud).outputs["MediaBucket"]
    assert HTTP.get(bucket + image["url"]).status_code == 403
    assert HTTP.get(bucket).status_code == 403
    removed(admin, product_id, image)
