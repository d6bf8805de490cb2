"""The events that documents publishes. The subject is the document."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from mercato.events import EventModel
from mercato.money import Money


class DocumentIssued(EventModel):
    """An invoice or a credit note has got its number. `invoice_id` is that of the invoice that a credit note
    corrects.
    """

    TYPE: ClassVar[str] = "document.issued"
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "document_id": "4f0d6d6e-2c8f-5f5e-9d9e-0a4f4b8f6a10",
        "kind": "credit_note",
        "number": "CRN-2026-000017",
        "series": "CRN-2026",
        "order_id": "9a1f0f0e-5b7c-5c1e-8f3e-2f1f0a6d4c11",
        "order_number": "K7QF2-M9X40",
        "customer_id": "0193a1c2-7d00-7000-8000-00000000c0de",
        "payment_id": "pay-1",
        "invoice_id": "1e7a8c1b-6a55-5b0c-8a52-3b8d9b6b7f01",
        "total": {"amount": 2895, "currency": "GBP"},
        "tax": {"amount": 483, "currency": "GBP"},
    }

    document_id: str
    kind: Literal["invoice", "credit_note"]
    number: str
    series: str
    order_id: str
    order_number: str | None
    customer_id: str
    payment_id: str
    invoice_id: str | None
    total: Money
    tax: Money


PUBLISHES: tuple[type[EventModel], ...] = (DocumentIssued,)
