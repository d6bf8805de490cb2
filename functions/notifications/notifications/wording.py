"""The built-in texts of all messages, in each language. Fields are written as {{ order }}.

All texts are plain text. `WORDINGS` has the subject and body of a mail, and for some a text message.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.languages import Language


class Name(StrEnum):
    """A kind of notification; a payment that is awaited has two texts. One text is of a mail alone, to a guest who may
    not have asked for it.
    """

    WELCOME = "welcome"
    PAYMENT_TO_CONFIRM = "payment_to_confirm"
    PAYMENT_TO_REPEAT = "payment_to_repeat"
    ORDER_CONFIRMED = "order_confirmed"
    RECEIPT = "receipt"
    PAYMENT_FAILED = "payment_failed"
    ORDER_SHIPPED = "order_shipped"
    ORDER_DELIVERED = "order_delivered"
    ORDER_CANCELLED = "order_cancelled"
    REFUND = "refund"
    RETURN_APPROVED = "return_approved"
    RETURN_REFUSED = "return_refused"
    RETURN_RECEIVED = "return_received"
    CONFIRM_WISH = "confirm_wish"
    BACK_IN_STOCK = "back_in_stock"
    ABANDONED_CART = "abandoned_cart"


@dataclass(frozen=True)
class Wording:
    subject: str
    body: str
    sms: str = ""


def _english(subject: str, body: str, sms: str = "") -> Wording:
    return Wording(subject, f"Hello {{{{ name }}}},\n\n{body}\n\nMercato", f"Mercato: {sms}" if sms else "")


def _german(subject: str, body: str, sms: str = "") -> Wording:
    return Wording(subject, f"Hallo {{{{ name }}}},\n\n{body}\n\nMercato", f"Mercato: {sms}" if sms else "")


_WAITS = "We hold the order for you until {{ until }}, and cancel it then. You have not been charged.\n\n{{ place }}"
_WARTET = (
    "Wir halten die Bestellung bis {{ until }} für Sie zurück und stornieren sie danach. "
    "Es wurde noch nichts abgebucht.\n\n{{ place }}"
)

_ENGLISH: Mapping[Name, Wording] = {
    Name.WELCOME: _english("Welcome to Mercato", "your account is ready. We are glad that you are here."),
    Name.PAYMENT_TO_CONFIRM: _english(
        "Please confirm your payment",
        f"your bank asks you to confirm the payment of order {{{{ order }}}}.\n\n{_WAITS}",
    ),
    Name.PAYMENT_TO_REPEAT: _english(
        "Please pay with another card",
        f"your bank declined the card for order {{{{ order }}}}. You can pay with another one.\n\n{_WAITS}",
    ),
    Name.ORDER_CONFIRMED: _english(
        "Your order is confirmed",
        "we have confirmed your order {{ order }}:\n\n{{ goods }}\n\nTotal: {{ total }}\n\n"
        "We will tell you when it is on its way.",
    ),
    Name.RECEIPT: _english(
        "Your receipt for {{ amount }}",
        "we have received your payment of {{ amount }} for order {{ order }}.\n\nPayment: {{ payment }}\n\n"
        "{{ invoice }}",
    ),
    Name.PAYMENT_FAILED: _english(
        "Your payment did not go through",
        "your payment of {{ amount }} for order {{ order }} did not go through: {{ reason }}\n\n"
        "You have not been charged. You can place the order again with another card.",
    ),
    Name.ORDER_SHIPPED: _english(
        "Your order is on its way",
        "your order {{ order }} is on its way.\n\nCarrier: {{ carrier }}\nTracking number: {{ tracking_number }}\n"
        "{{ tracking }}",
        "your order {{ order }} is on its way with {{ carrier }}. Tracking number: {{ tracking_number }}\n"
        "{{ tracking }}",
    ),
    Name.ORDER_DELIVERED: _english(
        "Your order has arrived",
        "your order {{ order }} has been delivered. Please tell us if it did not reach you, or if something is wrong.",
        "your order {{ order }} has arrived.",
    ),
    Name.ORDER_CANCELLED: _english("Your order was cancelled", "your order {{ order }} was cancelled: {{ reason }}"),
    Name.REFUND: _english(
        "We have refunded {{ amount }}",
        "we have refunded {{ amount }} for order {{ order }}.\n\nReason: {{ reason }}\n\n"
        "It can take a few days until your bank shows it.",
    ),
    Name.RETURN_APPROVED: _english(
        "Please send your goods back",
        "you may return {{ units }} of your order {{ order }}. Please send the goods back to us.\n\n"
        "Refund once we have received all of it: {{ amount }}",
    ),
    Name.RETURN_REFUSED: _english(
        "We cannot take your return",
        "we cannot take back what you wanted to return of your order {{ order }}.\n\nReason: {{ reason }}",
    ),
    Name.RETURN_RECEIVED: _english(
        "We have received your return",
        "we have received {{ units }} of your order {{ order }}.\n\n{{ refunded }}",
    ),
    Name.CONFIRM_WISH: _english(
        "Shall we tell you when {{ product }} is back?",
        "this address was given to us by somebody who wants to know when {{ product }} is available again. "
        "If it was you, please confirm it within two days:\n\n{{ link }}\n\n"
        "If it was not you, you need to do nothing. We will not write to you about it.",
    ),
    Name.BACK_IN_STOCK: _english(
        "{{ product }} is back in stock",
        "you asked us to tell you when {{ product }} is available again. It is:\n\n{{ link }}\n\n"
        "We have told those who asked first, as many as there are units. We cannot keep one for you.",
    ),
    Name.ABANDONED_CART: _english(
        "There is something in your cart",
        "you left something in your cart:\n\n{{ goods }}\n\n{{ link }}\n\nWe have kept nothing aside for you.",
    ),
}

_GERMAN: Mapping[Name, Wording] = {
    Name.WELCOME: _german("Willkommen bei Mercato", "Ihr Konto ist eingerichtet. Schön, dass Sie da sind."),
    Name.PAYMENT_TO_CONFIRM: _german(
        "Bitte bestätigen Sie Ihre Zahlung",
        f"Ihre Bank bittet Sie, die Zahlung der Bestellung {{{{ order }}}} zu bestätigen.\n\n{_WARTET}",
    ),
    Name.PAYMENT_TO_REPEAT: _german(
        "Bitte zahlen Sie mit einer anderen Karte",
        "Ihre Bank hat die Karte für die Bestellung {{ order }} abgelehnt. "
        f"Sie können mit einer anderen Karte zahlen.\n\n{_WARTET}",
    ),
    Name.ORDER_CONFIRMED: _german(
        "Ihre Bestellung ist bestätigt",
        "wir haben Ihre Bestellung {{ order }} bestätigt:\n\n{{ goods }}\n\nGesamtbetrag: {{ total }}\n\n"
        "Wir melden uns, sobald sie unterwegs ist.",
    ),
    Name.RECEIPT: _german(
        "Ihr Zahlungsbeleg über {{ amount }}",
        "wir haben Ihre Zahlung über {{ amount }} für die Bestellung {{ order }} erhalten.\n\n"
        "Zahlung: {{ payment }}\n\n{{ invoice }}",
    ),
    Name.PAYMENT_FAILED: _german(
        "Ihre Zahlung ist fehlgeschlagen",
        "Ihre Zahlung über {{ amount }} für die Bestellung {{ order }} ist fehlgeschlagen: {{ reason }}\n\n"
        "Es wurde nichts abgebucht. Sie können mit einer anderen Karte noch einmal bestellen.",
    ),
    Name.ORDER_SHIPPED: _german(
        "Ihre Bestellung ist unterwegs",
        "Ihre Bestellung {{ order }} ist unterwegs.\n\n"
        "Versand durch: {{ carrier }}\nSendungsnummer: {{ tracking_number }}\n{{ tracking }}",
        "Ihre Bestellung {{ order }} ist mit {{ carrier }} unterwegs. Sendungsnummer: {{ tracking_number }}\n"
        "{{ tracking }}",
    ),
    Name.ORDER_DELIVERED: _german(
        "Ihre Bestellung ist angekommen",
        "Ihre Bestellung {{ order }} wurde zugestellt. "
        "Bitte sagen Sie uns Bescheid, wenn sie nicht bei Ihnen ist oder etwas nicht stimmt.",
        "Ihre Bestellung {{ order }} ist angekommen.",
    ),
    Name.ORDER_CANCELLED: _german(
        "Ihre Bestellung wurde storniert", "Ihre Bestellung {{ order }} wurde storniert: {{ reason }}"
    ),
    Name.REFUND: _german(
        "Wir haben Ihnen {{ amount }} erstattet",
        "wir haben Ihnen {{ amount }} für die Bestellung {{ order }} erstattet.\n\nGrund: {{ reason }}\n\n"
        "Es kann einige Tage dauern, bis der Betrag auf Ihrem Konto erscheint.",
    ),
    Name.RETURN_APPROVED: _german(
        "Bitte senden Sie Ihre Ware zurück",
        "Sie können {{ units }} aus Ihrer Bestellung {{ order }} zurückgeben. Bitte senden Sie die Ware an uns zurück."
        "\n\nErstattung, sobald alles bei uns eingegangen ist: {{ amount }}",
    ),
    Name.RETURN_REFUSED: _german(
        "Wir können Ihre Rückgabe nicht annehmen",
        "was Sie aus Ihrer Bestellung {{ order }} zurückgeben wollten, können wir nicht zurücknehmen.\n\n"
        "Grund: {{ reason }}",
    ),
    Name.RETURN_RECEIVED: _german(
        "Ihre Rücksendung ist eingegangen",
        "wir haben {{ units }} aus Ihrer Bestellung {{ order }} erhalten.\n\n{{ refunded }}",
    ),
    Name.CONFIRM_WISH: _german(
        "Sollen wir Ihnen sagen, wann {{ product }} wieder da ist?",
        "diese Adresse hat uns jemand genannt, der erfahren möchte, wann {{ product }} wieder erhältlich ist. "
        "Wenn Sie das waren, bestätigen Sie es bitte innerhalb von zwei Tagen:\n\n{{ link }}\n\n"
        "Wenn Sie es nicht waren, brauchen Sie nichts zu tun. Wir schreiben Ihnen dann nicht mehr davon.",
    ),
    Name.BACK_IN_STOCK: _german(
        "Wieder vorrätig: {{ product }}",
        "Sie wollten erfahren, wann {{ product }} wieder erhältlich ist. Jetzt ist es so weit:\n\n{{ link }}\n\n"
        "Wir haben zuerst diejenigen benachrichtigt, die zuerst gefragt haben, und so viele, wie Stücke da sind. "
        "Zurücklegen können wir keines.",
    ),
    Name.ABANDONED_CART: _german(
        "In Ihrem Warenkorb liegt noch etwas",
        "Sie haben noch etwas in Ihrem Warenkorb:\n\n{{ goods }}\n\n{{ link }}\n\nZurückgelegt ist davon nichts.",
    ),
}

WORDINGS: Mapping[Language, Mapping[Name, Wording]] = {Language.EN: _ENGLISH, Language.DE: _GERMAN}

MOST_SMS_PARTS = 3
