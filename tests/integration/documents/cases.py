"""What the tests of all services try with documents. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

from typing import Any

from documents.domain import DocumentKind
from documents.views import StaffListedView
from mercato.http import View
from tests.integration.documents.conftest import charge
from tests.kit.asked import asking
from tests.kit.cases import Accepted, Data, Heard, Largest, Refused
from tests.kit.given import COSTLY

# ---- requests that succeed


_NUMBERING: dict[str, Any] = {
    "version": 0,
    "numbering": {"invoice_prefix": "RE", "credit_note_prefix": "GU", "counting": "continuous"},
}
_SELLER = {"version": 0, "seller": {"name": "Mercato Ltd", "address": ["1 Quay", "Leith"]}}
ACCEPTED = (
    Accepted("PUT /api/documents/numbering", asking("/api/documents/numbering", _NUMBERING, role="admin")),
    Accepted("PUT /api/documents/seller", asking("/api/documents/seller", _SELLER, role="admin")),
)

# ---- requests that are refused


_STALE_SELLER = {"version": 5, "seller": {"name": "Mercato Ltd"}}
_NUMBERS = "PUT /api/documents/numbering"
REFUSED = (
    Refused(
        "PUT /api/documents/seller", "seller-changed", asking("/api/documents/seller", _STALE_SELLER, role="admin")
    ),
    Refused(
        "PUT /api/documents/seller",
        "invalid-email",
        asking(
            "/api/documents/seller", {"version": 0, "seller": {"name": "Mercato Ltd", "email": "shop"}}, role="admin"
        ),
    ),
    Refused(
        _NUMBERS, "numbering-changed", asking("/api/documents/numbering", _NUMBERING | {"version": 5}, role="admin")
    ),
    Refused(
        _NUMBERS,
        "prefix-taken",
        asking(
            "/api/documents/numbering",
            _NUMBERING | {"numbering": _NUMBERING["numbering"] | {"credit_note_prefix": "INV"}},
            role="admin",
        ),
    ),
)

# ---- events


def _ordered_for(desk: Any) -> Data:
    amount = {"amount": 1250, "currency": "GBP"}
    whole = charge("goods", 1250, 208, product="mug")
    desk.ordered("o-1", customer_id="u-1", total=amount, charges=[whole])
    return {"order_id": "o-1", "customer_id": "u-1", "amount": amount}


def _issued(desk: Any) -> Data:
    desk.ordered()
    desk.pay()
    return {"document_id": desk.documents()[0].document_id}


HEARD = (
    Heard("documents", "order.claimed"),
    Heard("documents", "payment.completed", _ordered_for),
    Heard("documents", "payment.refunded", _ordered_for),
    Heard("documents-pdf", "document.issued", _issued),
)

# ---- items of lists


def _largest_document() -> View:
    names = ("document_id", "number", "series", "order_id", "order_number", "customer_id", "issued_at")
    return StaffListedView(**dict.fromkeys(names, "x" * 64), kind=DocumentKind.CREDIT_NOTE, total=COSTLY, tax=COSTLY)


LARGEST = (Largest("GET /api/ops/documents", _largest_document, is_one_query=True),)
