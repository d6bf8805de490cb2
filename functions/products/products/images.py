"""The pictures of a product and how they change. Pure: a change returns the new pictures, and the store writes them.

A picture is awaited until its file comes, then ready or refused. The tuple's order is the order on the product's page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import Conflict, NotFound

MOST = 8
MAX_BYTES = 10 * 1024 * 1024  # of an uploaded file
_AWAITED_FOR = timedelta(days=1)
_REFUSED_FOR = timedelta(days=7)


class State(StrEnum):
    AWAITED = "awaited"
    READY = "ready"
    REFUSED = "refused"


class ImageNotFound(NotFound):
    """The product has no picture with this id, or its file has not come in time."""


class TooManyImages(Conflict):
    """The product has as many pictures as a product may have."""


class ImagesMoved(Exception):
    """Another request has changed the product's pictures since they were read."""


@dataclass(frozen=True)
class Size:
    """The width and the height of one rendition, in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class Image:
    """`alt` says what the picture shows. "" is a picture that says nothing more than the text beside it; None is one
    that has not been described yet, which the shop does not show. A picture that is not ready counts as absent from
    `expires_at` on. `digest` is the digest of the uploaded file, and `sizes` are the renditions from small to large.
    """

    image_id: str
    state: State
    alt: str | None
    expires_at: datetime | None = None
    reason: str = ""
    digest: str = ""
    sizes: tuple[Size, ...] = ()

    @property
    def is_shown(self) -> bool:
        return self.state is State.READY and self.alt is not None


Images = tuple[Image, ...]


def present(images: Images, now: datetime) -> Images:
    """The pictures that have not expired."""
    return tuple(image for image in images if image.expires_at is None or image.expires_at > now)


def find(images: Images, image_id: str) -> Image | None:
    return next((image for image in images if image.image_id == image_id), None)


def get(images: Images, image_id: str) -> Image:
    found = find(images, image_id)
    if found is None:
        raise ImageNotFound(f"This product has no picture {image_id}.")
    return found


def expect(images: Images, image_id: str, alt: str | None, now: datetime) -> Images:
    """Adds a picture whose file is to come. Idempotent by its id."""
    if find(images, image_id):
        return images
    if len(images) >= MOST:
        raise TooManyImages(f"A product may have {MOST} pictures. Delete one first.")
    return (*images, Image(image_id, State.AWAITED, alt, now + _AWAITED_FOR))


def accept(images: Images, image_id: str, digest: str, sizes: Sequence[Size]) -> Images:
    """Makes an awaited picture ready. Any other stays as it is: a picture never changes its file."""
    return _settle(images, image_id, State.READY, digest=digest, sizes=tuple(sizes), expires_at=None)


def refuse(images: Images, image_id: str, reason: str, now: datetime) -> Images:
    """Refuses an awaited picture. Any other stays as it is. The refusal is shown for a week."""
    return _settle(images, image_id, State.REFUSED, reason=reason, expires_at=now + _REFUSED_FOR)


def _settle(images: Images, image_id: str, state: State, **fields: object) -> Images:
    return tuple(
        replace(image, state=state, **fields)  # type: ignore[arg-type]
        if image.image_id == image_id and image.state is State.AWAITED
        else image
        for image in images
    )


def describe(images: Images, image_id: str, alt: str | None) -> Images:
    described = replace(get(images, image_id), alt=alt)
    return tuple(described if image.image_id == image_id else image for image in images)


def move(images: Images, image_id: str, place: int) -> Images:
    """Moves the picture to a place, counted from 0; a place beyond the last is the last."""
    moved = get(images, image_id)
    others = [image for image in images if image is not moved]
    return (*others[:place], moved, *others[place:])


def remove(images: Images, image_id: str) -> Images:
    """Idempotent."""
    return tuple(image for image in images if image.image_id != image_id)
