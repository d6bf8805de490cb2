"""The request and response bodies of documents."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from documents.domain import (
    Address,
    Document,
    DocumentKind,
    Line,
    Numbering,
    NumberingRecord,
    Seller,
    SellerRecord,
    TaxPart,
    series_of,
)
from documents.store import Listed
from mercato.clock import rfc3339
from mercato.http import Body, Cursor, Day, Query, View
from mercato.money import Money
from mercato.text import Exact

Id = Annotated[str, Exact(), Field(min_length=1, max_length=64)]


_SERIES = "^[A-Z][A-Z0-9]{0,9}(-[0-9]{4})?$"


class DocumentsQuery(Query):
    order_id: Id


class StaffQuery(Query):
    """At most one of `order_id`, `series` and `day`; without any, the series of the next invoice. `number` is a
    position in the series: the list begins there, and goes on to the numbers before. A day is in UTC.
    """

    order_id: Id | None = None
    series: Annotated[str, Exact(), Field(pattern=_SERIES, examples=["INV-2026"])] | None = None
    number: Annotated[int, Field(ge=1, le=10**10 - 1)] | None = None
    day: Day | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class ListedView(View):
    """A document in a list. `kind` is invoice or credit_note."""

    document_id: str
    kind: DocumentKind
    number: str
    series: str
    order_id: str
    order_number: str | None
    total: Money
    tax: Money
    issued_at: str

    @classmethod
    def of(cls, listed: Listed) -> Self:
        return cls(**_told(listed))


class StaffListedView(ListedView):
    customer_id: str

    @classmethod
    def of(cls, listed: Listed) -> Self:
        return cls(**_told(listed), customer_id=listed.customer_id)


def _told(listed: Listed) -> dict[str, Any]:
    left_out = ("position", "customer_id")
    told = {name: value for name, value in vars(listed).items() if name not in left_out}
    return told | {"issued_at": rfc3339(listed.issued_at)}


class DocumentList(View):
    items: list[ListedView]


class StaffPage(View):
    items: list[StaffListedView]
    next_cursor: str | None


class DocumentView(View):
    """A document as it was issued. `lines` add up to `total`, as `taxes` do, and their taxes to `tax`. Amounts of a
    credit note are what is given back. `invoice_id` and `invoice_number` name the invoice that it corrects. `buyer` is
    null if the buyer's account was closed, and the address erased, before the document was issued.
    """

    document_id: str
    kind: DocumentKind
    number: str
    issued_at: str
    order_id: str
    order_number: str | None
    ordered_at: str
    invoice_id: str | None
    invoice_number: str | None
    seller: Seller
    buyer: Address | None
    delivery_address: Address | None
    delivery: str | None
    lines: list[Line]
    taxes: list[TaxPart]
    total: Money
    tax: Money
    reason: str | None

    @classmethod
    def of(cls, document: Document) -> Self:
        told = {name: getattr(document, name) for name in cls.model_fields}
        times = {"issued_at": rfc3339(document.issued_at), "ordered_at": rfc3339(document.ordered_at)}
        return cls(**told | {"lines": list(document.lines), "taxes": list(document.taxes)} | times)


class PdfView(View):
    """`url` gives the file to whoever has it, until `expires_at`. It needs no token, and S3 refuses one."""

    url: str
    expires_at: str


class ChangeSeller(Body):
    """`version` is the version of the data that these replace."""

    version: Annotated[int, Field(ge=0, le=2**31 - 1)]
    seller: Seller


class SellerView(View):
    version: int
    seller: Seller

    @classmethod
    def of(cls, record: SellerRecord) -> Self:
        return cls(version=record.version, seller=record.seller)


class ChangeNumbering(Body):
    """`version` is the version that this one replaces."""

    version: Annotated[int, Field(ge=0, le=2**31 - 1)]
    numbering: Numbering


class NumberingView(View):
    """`invoice_series` and `credit_note_series` are those of documents that are issued now."""

    version: int
    numbering: Numbering
    invoice_series: str
    credit_note_series: str

    @classmethod
    def of(cls, record: NumberingRecord, now: datetime) -> Self:
        return cls(
            version=record.version,
            numbering=record.numbering,
            invoice_series=series_of(DocumentKind.INVOICE, now, record.numbering),
            credit_note_series=series_of(DocumentKind.CREDIT_NOTE, now, record.numbering),
        )
