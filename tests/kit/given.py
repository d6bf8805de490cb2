"""Domain data that many tests use."""

from __future__ import annotations

from typing import Any

from mercato.money import MAX_AMOUNT, Money

WIDE = "\U0001f600"  # four bytes in UTF-8, as a quotation mark has that JSON escapes twice
COSTLY = Money(amount=MAX_AMOUNT, currency="GBP")


def published(event_type: str, subject: str, data: Any, /, **fields: Any) -> dict[str, Any]:
    """Returns a published event (CloudEvents 1.0), as the relay sends it to the bus. `fields` add or replace fields."""
    return {
        "specversion": "1.0",
        "id": f"{event_type}-{subject}",
        "source": "mercato.elsewhere",
        "type": event_type,
        "time": "2026-11-22T12:00:00.000Z",
        "subject": subject,
        "data": data,
    } | fields


def money(amount: int, currency: str = "GBP") -> Any:
    """Returns an amount in the currency's smallest unit, as requests have it."""
    return {"amount": amount, "currency": currency}
