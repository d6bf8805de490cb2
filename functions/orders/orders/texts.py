"""The texts that guests read in mails of this service, in plain text."""

from __future__ import annotations

from dataclasses import field

from mercato.dataclass import dataclass
from mercato.languages import Language
from mercato.text import greeting_name


@dataclass(frozen=True)
class Mail:
    subject: str
    body: str = field(repr=False)


_ENGLISH = Mail(
    "Your order with Mercato",
    "Hello {name},\n\n"
    "thank you for your order {number}. By this link you see where it is, and can pay, cancel or return it:\n\n"
    "{link}\n\n"
    "Whoever has the link can do the same, so please keep it to yourself. If you make an account with this e-mail "
    "address, the order is in it.\n\nMercato",
)
_GERMAN = Mail(
    "Ihre Bestellung bei Mercato",
    "Hallo {name},\n\n"
    "vielen Dank für Ihre Bestellung {number}. Über diesen Link sehen Sie, wo sie ist, und können sie bezahlen, "
    "stornieren oder zurückgeben:\n\n"
    "{link}\n\n"
    "Wer den Link hat, kann das auch. Bitte behalten Sie ihn für sich. Wenn Sie mit dieser E-Mail-Adresse ein Konto "
    "anlegen, finden Sie die Bestellung darin.\n\nMercato",
)
_TEXTS = {Language.EN: _ENGLISH, Language.DE: _GERMAN}
_NAMELESS = {Language.EN: "there", Language.DE: "liebe Kundin, lieber Kunde"}


def guest_link(name: str, number: str, shop_url: str, token: str, language: Language | None) -> Mail:
    """In English for an order without a language. The token is behind #, which no server sees."""
    language = language or Language.EN
    text, greeted = _TEXTS[language], greeting_name(name) or _NAMELESS[language]
    link = f"{shop_url.rstrip('/')}/guest-order#token={token}"
    return Mail(text.subject, text.body.format(name=greeted, number=number, link=link))
