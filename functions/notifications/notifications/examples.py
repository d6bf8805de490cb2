"""The fields that each text may use: what they mean to staff, and the values of an example, as messages have them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from mercato.errors import SagaEnd
from mercato.languages import Language
from mercato.money import Money
from notifications import texts
from notifications.speech import SPEECHES
from notifications.wording import Name

_ORDER, _READER = "K7QF2-M9X40", "Ada Lovelace"
_PRICE = Money(amount=2895, currency="GBP")
_UNTIL = datetime(2026, 1, 1, 12, 22, tzinfo=UTC)
_ITS_PAGE = "https://shop.example/orders/1"
_CONTENTS = (
    texts.welcome(),
    texts.payment_to_confirm(_ORDER, _UNTIL, _ITS_PAGE),
    texts.payment_to_repeat(_ORDER, _UNTIL, _ITS_PAGE),
    texts.order_confirmed(_ORDER, _PRICE, [(2, "Red mug"), (1, "Tea pot")]),
    texts.receipt(_ORDER, "5d0d6a52-6a4c-5c55-9f0b-6e1e2b3c4d5e", _PRICE, _ITS_PAGE),
    texts.payment_failed(_ORDER, _PRICE, "card_declined", "Your bank declined the card."),
    texts.order_shipped(_ORDER, "Royal Mail", "RM123456789GB", "https://track.example/RM123456789GB"),
    texts.order_delivered(_ORDER),
    texts.order_cancelled(_ORDER, SagaEnd.OUT_OF_STOCK.slug, "Something in this order is out of stock."),
    texts.refund(_ORDER, _PRICE, SagaEnd.CANCELLED_BY_CUSTOMER),
    texts.return_approved(_ORDER, 2, _PRICE),
    texts.return_refused(_ORDER, "It was worn."),
    texts.return_received(_ORDER, 2, _PRICE),
    texts.confirm_wish("Red mug", "https://shop.example/wish/1"),
    texts.back_in_stock("Red mug", "https://shop.example/p/1"),
    texts.abandoned_cart(["Red mug", "Tea pot"], "https://shop.example/cart"),
)
EXAMPLES: Mapping[Language, Mapping[Name, Mapping[str, str]]] = {
    language: {content.name: {"name": _READER} | dict(content.fields(speech)) for content in _CONTENTS}
    for language, speech in SPEECHES.items()
}
MEANINGS: Mapping[str, str] = {
    "amount": "The sum that was paid, refunded or will be, with its currency.",
    "carrier": "Who brings the parcel.",
    "goods": "What is in the order or the cart, one to a line. A long list is cut, and the rest counted.",
    "invoice": "Where the order's invoice is: the address of the order's page, or a guest's first mail.",
    "link": "The address of the page in the shop.",
    "name": "The customer's name, or a greeting that fits if there is none.",
    "order": "The order's number.",
    "payment": "The payment's id.",
    "place": "Where the order is found: the address of its page, which is secret for a guest's.",
    "product": "The product's name.",
    "reason": "Why, as a sentence.",
    "refunded": "What is refunded, as a sentence.",
    "total": "What the whole order costs, with its currency.",
    "tracking": "The carrier's page about the parcel; if there is none, its line is left out.",
    "tracking_number": "The carrier's number of the parcel.",
    "units": "How many pieces.",
    "until": "The time of day until which the order is held.",
}
