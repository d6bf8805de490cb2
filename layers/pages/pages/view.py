"""Templates, and how they write money, times and states. They are MiniJinja's, in the subset that Jinja2 reads too.

Every value is escaped; no template may say otherwise. A name that has no value is an error, not an empty text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from minijinja import Environment

from mercato.addresses import rules_of
from mercato.money import InvalidAmount, Money
from pages import static
from pages.countries import NAMES

_SHARED = Path(__file__).parent / "templates"
_UUID_7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥"}
# An amount in a sentence of the API's, such as 12.85 GBP. It is no part of a longer number, nor of 1,000.00 GBP.
_AMOUNT = re.compile(rf"(?<![\w.,+-])-?[0-9]{{1,15}}(?:\.[0-9]{{1,4}})? (?:{'|'.join(_SYMBOLS)})\b")

# The labels of fields whose name does not say them.
_LABELS = {
    "alt": "What it shows",
    "carrier": "Who takes it",
    "category": "Only for goods of the category",
    "city": "Town or city",
    "credit_note_prefix": "Prefix of credit notes",
    "delta": "More, or fewer with a minus",
    "description": "What the buyer reads",
    "email": "E-mail",
    "invoice_prefix": "Prefix of invoices",
    "kind": "What it takes off",
    "limit": "Uses in all",
    "limit_per_customer": "Uses of each customer",
    "line1": "Address",
    "line2": "Second line",
    "low_at": "Low at or below",
    "max": "Price to",
    "min": "Price from",
    "minimum": "Least value of the goods",
    "note": "Why",
    "payment_token": "How you pay",
    "q": "Search",
    "quantity": "How many",
    "reason": "Why",
    "refusal": "Why",
    "registration": "Entry in the company register",
    "service": "How it comes",
    "sku": "Item number",
    "sms_phone": "Phone number for text messages",
    "tax_id": "VAT number",
    "text": "Rows",
    "token": "Code from the mail",
    "tracking_url": "The carrier's page about it",
    "v": "As of fact",
    "valid_from": "Valid from",
    "valid_until": "Not valid any more from",
    "value": "How much",
    "weight_grams": "Weight of one piece in grams",
}

# Shape, word and colour of a status. Who cannot tell the colours reads the shape, who cannot see reads the word.
OK, WAITING, FAILED, IDLE, RUNNING = ("ok", "●"), ("warn", "■"), ("bad", "▲"), ("idle", "○"), ("info", "◌")
_STATUSES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            "delivered",
            "completed",
            "succeeded",
            "closed",
            "healthy",
            "captured",
            "done",
            "in_stock",
            "active",
            "refunded",
        ),
        OK,
    ),
    **dict.fromkeys(
        (
            "needs_attention",
            "parked",
            "half_open",
            "few_left",
            "low",
            "cancelling",
            "authorized",
            "metrics_only",
            "disabled",
        ),
        WAITING,
    ),
    **dict.fromkeys(
        (
            "failed",
            "open",
            "forced_open",
            "unhealthy",
            "cancelled",
            "declined",
            "coupon_used",
            "out_of_stock",
            "sold_out",
            "caught",
            "timed_out",
            "refused",
            "expired",
            "used_up",
        ),
        FAILED,
    ),
    **dict.fromkeys(("requested", "approved", "received", "waiting"), RUNNING),
    **dict.fromkeys(("pending", "confirmed", "shipped", "running", "dispatched", "in_transit", "booked"), RUNNING),
}


def money(value: Mapping[str, Any]) -> str:
    """{"amount": 480000, "currency": "GBP"} is £4,800.00."""
    amount = Money(amount=abs(value["amount"]), currency=value["currency"])
    digits, _, code = str(amount).partition(" ")
    whole, point, rest = digits.partition(".")
    sign = "-" if value["amount"] < 0 else ""
    return f"{sign}{_SYMBOLS.get(code, f'{code} ')}{int(whole):,}{point}{rest}"


def amounts(text: str) -> str:
    """The text of an API's message with its amounts as pages write them: 1200.50 GBP is £1,200.50. Amounts in a
    currency that pages have no symbol for stay as they are: three capitals may also belong to the name of a product.
    """
    return _AMOUNT.sub(_amount, text)


def _amount(found: re.Match[str]) -> str:
    number, _, currency = found[0].partition(" ")
    try:
        value = Money.parse(number, currency)
    except InvalidAmount:
        return found[0]
    return money(value.model_dump()) if str(value) == found[0] else found[0]


def address_lines(value: Mapping[str, Any]) -> list[str]:
    """An address as people write it, a line each. Region and country are written by their names."""
    region = rules_of(value["country"]).find_region(value.get("region") or "")
    place = (value["city"], region.name if region else value.get("region"), value["postcode"])
    lines = [value.get(name) for name in ("name", "company", "line1", "line2")]
    country = NAMES.get(value["country"], value["country"])
    return [line for line in [*lines, " ".join(filter(None, place)), country, value.get("phone")] if line]


def times(value: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The price of `count` units at this price."""
    return {"amount": value["amount"] * count, "currency": value["currency"]}


def major(value: Mapping[str, Any]) -> str:
    """{"amount": 4800, "currency": "GBP"} is 48.00, as a form takes it."""
    return str(Money(amount=value["amount"], currency=value["currency"])).partition(" ")[0]


def when(text: str) -> str:
    """2026-11-28T03:23:45.123Z is 28 Nov 2026, 03:23 UTC."""
    moment = datetime.fromisoformat(text)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def day(text: str) -> str:
    """2026-11-28 is 28 Nov 2026."""
    found = date.fromisoformat(text)
    return f"{found.day} {found:%b %Y}"


def clock(text: str) -> str:
    """2026-11-28T03:23:45.123Z is 03:23:45 UTC."""
    return f"{datetime.fromisoformat(text):%H:%M:%S} UTC"


def words(code: str) -> str:
    """needs_attention is "needs attention"."""
    return code.replace("_", " ").replace("-", " ").lower()


def label(field: str) -> str:
    """The name of a form's field for people, as its label has it. A field of the billing address says so."""
    name = field.removeprefix("billing_")
    found = _LABELS.get(name) or words(name).capitalize()
    return found if name == field else f"{found} of the invoice"


def counted(count: int, noun: str) -> str:
    """1 letter, 2 letters."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def tone(code: str) -> str:
    return _STATUSES.get(code.lower(), IDLE)[0]


def shape(code: str) -> str:
    return _STATUSES.get(code.lower(), IDLE)[1]


def short(identifier: str) -> str:
    """The part of an id that people read to each other: its start. Ids of one minute share the start of a UUID of
    version 7, which is its time: of such a one, the end.
    """
    return f"…{identifier[-8:]}" if _UUID_7.fullmatch(identifier) else identifier[:8]


def path_part(text: str) -> str:
    return quote(text, safe="")


FILTERS: dict[str, Callable[..., Any]] = {
    "address_lines": address_lines,
    "amounts": amounts,
    "clock": clock,
    "counted": counted,
    "day": day,
    "major": major,
    "times": times,
    "money": money,
    "path_part": path_part,
    "shape": shape,
    "short": short,
    "tone": tone,
    "when": when,
    "words": words,
    "label": label,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"static": static.address}


class Templates:
    """The templates of one site: its own, and those that all sites share."""

    def __init__(self, folder: Path, constants: Mapping[str, str], filters: Mapping[str, Callable[..., Any]]) -> None:
        self._folders = (folder, _SHARED)
        self._constants = constants
        self._filters = filters

    @functools.cached_property
    def _environment(self) -> Environment:
        return Environment(
            loader=self._load,
            filters={**FILTERS, **self._filters},
            globals={**FUNCTIONS, **self._constants},
            undefined_behavior="strict",
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def _load(self, name: str) -> str | None:
        for folder in self._folders:
            path = folder / name
            if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
                return path.read_text()
        return None

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        return self._environment.render_template(name, **values)
