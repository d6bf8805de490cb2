"""What customers read, in plain text: the facts of each message, and how its text is made from them in a language.

`order` is what the customer knows the order by: its number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from mercato.dataclass import dataclass
from mercato.languages import Language
from mercato.money import Money
from mercato.telemetry import metrics
from mercato.telemetry.logs import log
from mercato.text import greeting_name
from notifications.domain import Text
from notifications.rendering import fill
from notifications.sms_parts import parts_of
from notifications.speech import SPEECHES, English, one_line
from notifications.wording import MOST_SMS_PARTS, WORDINGS, Name, Wording

_LONGEST_LIST, _LONGEST_CART = 50, 10
# Stands in a stored text for the secret link to a guest's order, which is added while the mail is sent. It is no
# character of any text (Unicode's noncharacters are for such use).
ORDER_LINK = "\ufdd0"
WAY_BACK = "\ufdd1"  # the same for the signed link to what a guest has left in a cart


@dataclass(frozen=True)
class Content:
    """`fields` gives the values of the text's fields, in the language of a speech."""

    name: Name
    fields: Callable[[English], Mapping[str, str]]


def write(content: Content, reader: str, language: Language, wording: Wording | None = None) -> Text:
    """`reader` is the name by which the reader is greeted. A `wording` of staff's that cannot be filled is
    replaced by the built-in one: no text stops a message.
    """
    speech, built_in = SPEECHES[language], WORDINGS[language][content.name]
    values = {**content.fields(speech), "name": greeting_name(reader) or speech.nameless}
    try:
        return _filled(wording or built_in, values, language)
    except (KeyError, ValueError) as error:
        log.error(
            "a text cannot be filled; the built-in one is sent", extra={"text": content.name, "reason": str(error)}
        )
        metrics.count("TextsBroken")
        return _filled(built_in, values, language)


def _filled(wording: Wording, values: Mapping[str, str], language: Language) -> Text:
    """A text message that would be of too many parts, each of which is charged, goes without the carrier's page."""
    subject, sms = one_line(fill(wording.subject, values)), fill(wording.sms, values)
    if parts_of(sms) > MOST_SMS_PARTS:
        sms = fill(wording.sms, {**values, "tracking": ""})
    return Text(subject, fill(wording.body, values), sms, language)


def with_way_out(body: str, link: str, language: Language) -> str:
    """The body with the link that ends the mails of its kind, if there is one."""
    return f"{body}\n\n{SPEECHES[language].way_out(link)}" if link else body


def welcome() -> Content:
    return Content(Name.WELCOME, lambda _: {})


def order_confirmed(order: str, total: Money, lines: list[tuple[int, str]]) -> Content:
    goods = [f"{quantity} × {product}" for quantity, product in lines]
    return Content(
        Name.ORDER_CONFIRMED,
        lambda say: {"order": order, "total": say.money(total), "goods": say.listed(goods, _LONGEST_LIST)},
    )


def receipt(order: str, payment_id: str, amount: Money, link: str | None) -> Content:
    """`link` leads to the order's page, which has the invoice."""
    return Content(
        Name.RECEIPT,
        lambda say: {
            "order": order,
            "payment": payment_id,
            "amount": say.money(amount),
            "invoice": say.invoice(link),
        },
    )


def payment_failed(order: str, amount: Money, reason: str, detail: str) -> Content:
    return Content(
        Name.PAYMENT_FAILED,
        lambda say: {"order": order, "amount": say.money(amount), "reason": say.end(reason, detail)},
    )


def payment_to_confirm(order: str, until: datetime, link: str) -> Content:
    return Content(
        Name.PAYMENT_TO_CONFIRM,
        lambda say: {"order": order, "until": say.time(until), "place": say.place(link)},
    )


def payment_to_repeat(order: str, until: datetime, link: str) -> Content:
    return Content(
        Name.PAYMENT_TO_REPEAT,
        lambda say: {"order": order, "until": say.time(until), "place": say.place(link)},
    )


def order_shipped(order: str, carrier: str, tracking_number: str, page: str | None = None) -> Content:
    """`page` is the carrier's, about the parcel."""
    found = {"order": order, "carrier": carrier, "tracking_number": tracking_number}
    return Content(Name.ORDER_SHIPPED, lambda say: found | {"tracking": say.tracking(page)})


def order_delivered(order: str) -> Content:
    return Content(Name.ORDER_DELIVERED, lambda _: {"order": order})


def order_cancelled(order: str, reason: str, detail: str) -> Content:
    return Content(Name.ORDER_CANCELLED, lambda say: {"order": order, "reason": say.end(reason, detail)})


def return_approved(order: str, units: int, amount: Money) -> Content:
    return Content(
        Name.RETURN_APPROVED,
        lambda say: {"order": order, "units": say.units(units), "amount": say.money(amount)},
    )


def return_refused(order: str, refusal: str) -> Content:
    return Content(Name.RETURN_REFUSED, lambda _: {"order": order, "reason": one_line(refusal)})


def return_received(order: str, units: int, amount: Money) -> Content:
    return Content(
        Name.RETURN_RECEIVED,
        lambda say: {"order": order, "units": say.units(units), "refunded": say.refunded(amount)},
    )


def refund(order: str, amount: Money, reason: str) -> Content:
    return Content(Name.REFUND, lambda say: {"order": order, "amount": say.money(amount), "reason": say.reason(reason)})


def abandoned_cart(goods: list[str], link: str) -> Content:
    return Content(Name.ABANDONED_CART, lambda say: {"goods": say.listed(goods, _LONGEST_CART), "link": link})


def confirm_wish(product: str, link: str) -> Content:
    return Content(Name.CONFIRM_WISH, lambda _: {"product": one_line(product), "link": link})


def back_in_stock(product: str, link: str) -> Content:
    return Content(Name.BACK_IN_STOCK, lambda _: {"product": one_line(product), "link": link})
