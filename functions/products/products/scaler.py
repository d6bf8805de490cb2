"""Consumes S3's events of uploaded files: scales each for its picture, or refuses it with a reason.

The picture decides, on the condition that it is still awaited. So a duplicate event, an event of a second file for the
same picture, and one of a deleted picture change nothing that the shop shows: they remove what does not belong to the
picture. The renditions are written before the picture is ready, and the uploaded file is removed after, so that a run
that dies at any point is completed by the event's next delivery.
"""

from __future__ import annotations

from mercato.clock import utc_now
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer, Unprocessable
from mercato.telemetry.logs import log
from products import images, usecases
from products.bucket import UPLOADS, path_of, paths_of
from products.domain import ProductNotFound
from products.images import Image, State
from products.renditions import Unusable, render
from products.wiring import ports

consumer = Consumer("products-uploads")
handler = consumer.handler


class StoredObject(Reads):
    key: str


class ObjectCreated(Reads):
    object: StoredObject


@consumer.on("Object Created")
def scale_upload(event: Event, created: ObjectCreated) -> None:
    product_id, _, image_id = created.object.key.removeprefix(UPLOADS).partition("/")
    if not created.object.key.startswith(UPLOADS) or not product_id or not image_id:
        raise Unprocessable(f"{created.object.key[:200]!r} is no upload of a picture")
    image = _find(product_id, image_id)
    if image is not None and image.state is State.AWAITED:
        content = ports().bucket.read_upload(product_id, image_id)
        if content is None:  # another delivery of this event has settled the picture since it was read
            log.info("upload is gone", extra={"product_id": product_id, "image_id": image_id})
            return
        _settle(product_id, image_id, content)
        image = _find(product_id, image_id)
    ports().bucket.keep_only(product_id, image_id, paths_of(image) if image else ())


def _find(product_id: str, image_id: str) -> Image | None:
    """Also a picture that has expired, while the product still has it: its file has come after all."""
    try:
        return images.find(ports().products.get(product_id).images, image_id)
    except ProductNotFound:
        return None


def _settle(product_id: str, image_id: str, content: bytes) -> None:
    now = utc_now()
    try:
        rendered = render(content)
    except Unusable as unusable:
        reason = str(unusable)
        log.info("upload refused", extra={"product_id": product_id, "image_id": image_id, "reason": reason})
        usecases.refuse_image(product_id, image_id, reason, ports().products, now)
        return
    for rendition in rendered.renditions:
        path = path_of(image_id, rendered.digest, rendition.size)
        ports().bucket.write_rendition(path, rendition.content)
    usecases.accept_image(product_id, image_id, rendered.digest, rendered.sizes, ports().products, now)
