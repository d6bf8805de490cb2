"""Wishes, the stock as its events tell it, and how many wishes a rise of the stock answers."""

from __future__ import annotations

from datetime import datetime, timedelta

from mercato.dataclass import dataclass
from mercato.errors import Conflict, NotFound
from mercato.languages import Language

MOST_WISHES = 100  # of one customer

CONFIRM_WITHIN = timedelta(days=2)
GUESTS_WISH_LASTS = timedelta(days=180)
MOST_ASKED = 3  # mails that guests may ask for to one address in a day


class UnknownProduct(NotFound):
    """There is no such product, or it is no longer sold."""

    def __init__(self, product_id: str) -> None:
        super().__init__(f"There is no product {product_id} for sale.", product_id=product_id)


class InStock(Conflict):
    """The product is available, so there is nothing to wait for."""

    def __init__(self, product_id: str) -> None:
        super().__init__("This product is in stock: you can order it now.", product_id=product_id)


class TooManyWishes(Conflict):
    """The customer waits for as many products as are allowed."""

    def __init__(self) -> None:
        super().__init__(f"You wait for {MOST_WISHES} products already. Please remove one of them first.")


@dataclass(frozen=True)
class Product:
    """What the catalogue tells about a product. `available` is None above the low-stock threshold."""

    product_id: str
    name: str
    is_sold: bool
    available: int | None


@dataclass(frozen=True)
class OfGuest:
    """What a guest's wish has besides: the digest of the address, the wish's end, and the language of its mail."""

    address: str
    expires_at: datetime
    language: Language | None


@dataclass(frozen=True)
class Wish:
    """`name` is the product's name when the customer asked. Wishes of a product are told in the order of `asked_at`.
    `user_id` is the reader of the notification: the account, or of a guest `domain.reader_of_wish`.
    """

    product_id: str
    user_id: str
    name: str
    asked_at: datetime
    guest: OfGuest | None = None


@dataclass(frozen=True)
class Asked:
    """What a guest has asked for, until the owner of the address confirms it."""

    wish_id: str
    email: str
    product_id: str
    name: str
    language: Language | None
    is_confirmed: bool = False


@dataclass(frozen=True)
class Stock:
    """What inventory's last event told. Both are None before the first."""

    available: int | None = None
    sequence: int | None = None

    def rise_to(self, available: int) -> int:
        """Returns how many units came in since the last event. A first event tells what there is."""
        return max(0, available - (self.available or 0))


@dataclass(frozen=True)
class Level:
    """What an event of inventory tells of a product. `sequence` orders the events of the product."""

    product_id: str
    available: int
    sequence: int
    event_id: str
    at: datetime


@dataclass(frozen=True)
class Lot:
    """The wishes that one rise of the stock answers: the oldest, as many as units came in. `left` are to be told."""

    product_id: str
    event_id: str
    left: int
