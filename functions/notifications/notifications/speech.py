"""How each language writes amounts, times and the sentences that depend on what they tell of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from mercato.errors import SagaEnd, is_error_name
from mercato.languages import Language
from mercato.money import Money

_CANCELLED = "cancelled"  # the reason of a refund that an undo gave without a better one
# The reasons that payments gives in words.
_RETURNED = "You returned goods."
_UNDELIVERED = "Your parcel could not be delivered."
_GIVEN_BACK = "Your order was cancelled."


def one_line(text: str) -> str:
    return " ".join(text.split())


class English:
    """Also what the other languages are made from: each overrides what it says in another way."""

    nameless = "there"
    neutral = "We could not complete the order."
    # For a refund by the order's saga, the reason is the name of the error that ended the saga.
    reasons: Mapping[str, str] = {
        SagaEnd.CANCELLED_BY_CUSTOMER: "You cancelled the order.",
        SagaEnd.CAPTURE_REFUSED: "The payment could not be collected.",
        SagaEnd.CLAIM_EXPIRED: "We could not hold the coupon of the order any longer.",
        SagaEnd.COUPON_EXHAUSTED: "A code of the order was used up by other orders.",
        SagaEnd.COUPON_USED_UP: "You have used a code of the order as often as one customer may.",
        SagaEnd.OUT_OF_STOCK: "Something in the order is out of stock.",
        SagaEnd.PAYMENT_DECLINED: "Your bank declined the payment.",
        SagaEnd.PAYMENT_NOT_COMPLETED: "The payment was not completed in time.",
        SagaEnd.RESERVATION_EXPIRED: "We could not hold the goods of the order any longer.",
        SagaEnd.UNKNOWN_PRODUCT: "Something in the order is not for sale any more.",
        _CANCELLED: "The order was cancelled.",
        **{text: text for text in (_RETURNED, _UNDELIVERED, _GIVEN_BACK)},
    }

    def money(self, amount: Money) -> str:
        return str(amount)

    def time(self, moment: datetime) -> str:
        return f"{moment:%H:%M} UTC"

    def units(self, units: int) -> str:
        return f"{units} {'piece' if units == 1 else 'pieces'}"

    def more(self, number: int) -> str:
        return f"… and {number} more"

    def listed(self, goods: Iterable[str], limit: int) -> str:
        """One to a line; of more than `limit`, the rest is counted."""
        lines = [f"  {one_line(product)}" for product in goods]
        return "\n".join(lines[:limit]) + (f"\n  {self.more(len(lines) - limit)}" if len(lines) > limit else "")

    def reason(self, reason: str) -> str:
        """The text of staff or customer unchanged, and a sentence for the name of an error."""
        if reason in self.reasons:
            return self.reasons[reason]
        return self.neutral if is_error_name(reason) else one_line(reason)

    def end(self, reason: str, detail: str) -> str:
        """Why an order or a payment ended. `detail` is the English sentence of the service that ended it, and `reason`
        its stable name.
        """
        del reason
        return detail

    def refunded(self, amount: Money) -> str:
        if not amount.amount:
            return "There is nothing to refund for it: it cost nothing, or its price was refunded before."
        return f"We refund {self.money(amount)}."

    def place(self, link: str) -> str:
        """`link` leads to the order's page."""
        return f"Your order:\n{link}"

    def invoice(self, link: str | None) -> str:
        """Where the invoice is: on the order's page. A guest has its link in a mail of the orders service."""
        if not link:
            return "Your invoice is behind the link to your order, which is in our first mail about it."
        return f"Your order and its invoice:\n{link}"

    def tracking(self, page: str | None) -> str:
        """The carrier's page about a parcel; empty where there is none."""
        return f"The carrier's page: {page}" if page else ""

    def way_out(self, link: str) -> str:
        return f"No more mails of this kind: {link}"


class German(English):
    nameless = "liebe Kundin, lieber Kunde"
    neutral = "Wir konnten die Bestellung nicht abschließen."
    reasons: Mapping[str, str] = {
        SagaEnd.CANCELLED_BY_CUSTOMER: "Sie haben die Bestellung storniert.",
        SagaEnd.CAPTURE_REFUSED: "Die Zahlung konnte nicht eingezogen werden.",
        SagaEnd.CLAIM_EXPIRED: "Wir konnten den Gutschein der Bestellung nicht länger zurückhalten.",
        SagaEnd.COUPON_EXHAUSTED: "Ein Gutscheincode der Bestellung wurde durch andere Bestellungen aufgebraucht.",
        SagaEnd.COUPON_USED_UP: "Sie haben einen Gutscheincode der Bestellung schon so oft eingelöst, wie es geht.",
        SagaEnd.OUT_OF_STOCK: "Ein Artikel der Bestellung ist nicht mehr vorrätig.",
        SagaEnd.PAYMENT_DECLINED: "Ihre Bank hat die Zahlung abgelehnt.",
        SagaEnd.PAYMENT_NOT_COMPLETED: "Die Zahlung wurde nicht rechtzeitig abgeschlossen.",
        SagaEnd.RESERVATION_EXPIRED: "Wir konnten die Artikel der Bestellung nicht länger zurückhalten.",
        SagaEnd.UNKNOWN_PRODUCT: "Ein Artikel der Bestellung wird nicht mehr verkauft.",
        _CANCELLED: "Die Bestellung wurde storniert.",
        _RETURNED: "Sie haben Artikel zurückgegeben.",
        _UNDELIVERED: "Ihr Paket konnte nicht zugestellt werden.",
        _GIVEN_BACK: "Ihre Bestellung wurde storniert.",
    }
    ends: Mapping[str, str] = {SagaEnd(name).slug: text for name, text in reasons.items() if name in SagaEnd} | {
        "card_declined": "Ihre Bank hat die Karte abgelehnt.",
        "insufficient_funds": "Das Guthaben der Karte reicht nicht aus.",
        "expired_card": "Die Karte ist abgelaufen.",
    }

    def money(self, amount: Money) -> str:
        number, currency = str(amount).split(" ")
        whole, _, fraction = number.partition(".")
        grouped = f"{int(whole):,}".replace(",", ".")
        sign = "-" if number.startswith("-") and not grouped.startswith("-") else ""
        return f"{sign}{grouped}{',' if fraction else ''}{fraction} {currency}"

    def time(self, moment: datetime) -> str:
        return f"{moment:%H:%M} Uhr (UTC)"

    def units(self, units: int) -> str:
        return f"{units} Stück"

    def more(self, number: int) -> str:
        return f"… und {number} weitere"

    def end(self, reason: str, detail: str) -> str:
        del detail
        return self.ends.get(reason, self.neutral)

    def refunded(self, amount: Money) -> str:
        if not amount.amount:
            return "Dafür ist nichts zu erstatten: Es war kostenlos, oder der Preis wurde bereits erstattet."
        return f"Wir erstatten Ihnen {self.money(amount)}."

    def place(self, link: str) -> str:
        return f"Ihre Bestellung:\n{link}"

    def invoice(self, link: str | None) -> str:
        if not link:
            return "Ihre Rechnung finden Sie über den Link zu Ihrer Bestellung in unserer ersten E-Mail dazu."
        return f"Ihre Bestellung mit der Rechnung:\n{link}"

    def tracking(self, page: str | None) -> str:
        return f"Seite des Versanddienstes: {page}" if page else ""

    def way_out(self, link: str) -> str:
        return f"Keine E-Mails dieser Art mehr: {link}"


SPEECHES: Mapping[Language, English] = {Language.EN: English(), Language.DE: German()}
