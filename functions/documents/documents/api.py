"""Documents over HTTP: a customer's own by order, a guest's by the order's link, the lists of staff, the seller and the
numbering.
"""

from __future__ import annotations

from documents import usecases
from documents.domain import Document, DocumentKind, PdfNotReady, SeveralFilters, series_of
from documents.views import (
    ChangeNumbering,
    ChangeSeller,
    DocumentList,
    DocumentsQuery,
    DocumentView,
    ListedView,
    NumberingView,
    PdfView,
    SellerView,
    StaffListedView,
    StaffPage,
    StaffQuery,
)
from documents.wiring import ports
from mercato.clock import rfc3339, utc_now
from mercato.http import ADMIN, CUSTOMER, PUBLIC, WATCH, App
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue

app = App("documents", health=table_and_queue)
handler = app.handler


@app.get("/api/documents", role=CUSTOMER, limit=WATCH)
def list_documents(query: DocumentsQuery, caller: Caller) -> DocumentList:
    """Lists the invoice and the credit notes of the caller's own order. The order of another customer has none."""
    found = ports().documents.of_order(query.order_id)
    own = [one for one in found if caller.is_admin or one.customer_id == caller.user_id]
    return DocumentList(items=[ListedView.of(one) for one in own])


@app.get("/api/documents/guests/{token}", role=PUBLIC, capability="token", limit=WATCH)
def list_guest_documents(token: str) -> DocumentList:
    """The documents of the order that a guest's link opens."""
    found = ports().documents.of_order(ports().orders.open_link(token))
    return DocumentList(items=[ListedView.of(one) for one in found])


@app.get("/api/documents/guests/{token}/{document_id}", role=PUBLIC, capability="token", limit=WATCH)
def show_guest_document(token: str, document_id: str) -> DocumentView:
    order_id = ports().orders.open_link(token)
    return DocumentView.of(usecases.open_linked(document_id, order_id, ports().documents))


@app.get("/api/documents/guests/{token}/{document_id}/pdf", role=PUBLIC, capability="token", limit=WATCH)
def show_guest_pdf(token: str, document_id: str) -> PdfView:
    """As that of customers."""
    order_id = ports().orders.open_link(token)
    return _pdf(usecases.open_linked(document_id, order_id, ports().documents))


@app.get("/api/ops/documents", role=ADMIN, limit=WATCH)
def list_documents_for_staff(query: StaffQuery) -> StaffPage:
    """Documents by order, by day, or by series and number, the last one first."""
    if sum(one is not None for one in (query.order_id, query.series, query.day)) > 1:
        raise SeveralFilters("Documents are listed by one of `order_id`, `series` and `day`.")
    documents, cursor = ports().documents, None
    if query.order_id is not None:
        items = documents.of_order(query.order_id)
    elif query.day is not None:
        items, cursor = documents.of_day(query.day, limit=query.limit, cursor=query.cursor)
    else:
        series = query.series or series_of(DocumentKind.INVOICE, utc_now(), documents.numbering().numbering)
        items, cursor = documents.of_series(series, until=query.number, limit=query.limit, cursor=query.cursor)
    return StaffPage(items=[StaffListedView.of(one) for one in items], next_cursor=cursor)


@app.get("/api/documents/seller", role=ADMIN, limit=WATCH)
def show_seller() -> SellerView:
    return SellerView.of(ports().documents.seller())


@app.put("/api/documents/seller", role=ADMIN)
def change_seller(wanted: ChangeSeller) -> SellerView:
    """Replaces the seller's data on all documents that are issued from now on."""
    return SellerView.of(usecases.change_seller(wanted.seller, wanted.version, ports().documents))


@app.get("/api/documents/numbering", role=ADMIN, limit=WATCH)
def show_numbering() -> NumberingView:
    return NumberingView.of(ports().documents.numbering(), utc_now())


@app.put("/api/documents/numbering", role=ADMIN)
def change_numbering(wanted: ChangeNumbering) -> NumberingView:
    """Numbers all documents that are issued from now on. A series that was used before goes on where it ended."""
    return NumberingView.of(usecases.change_numbering(wanted.numbering, wanted.version, ports().documents), utc_now())


@app.get("/api/documents/{document_id}", role=CUSTOMER, limit=WATCH)
def show_document(document_id: str, caller: Caller) -> DocumentView:
    return DocumentView.of(usecases.open_document(document_id, _whose(caller), ports().documents))


@app.get("/api/documents/{document_id}/pdf", role=CUSTOMER, limit=WATCH)
def show_pdf(document_id: str, caller: Caller) -> PdfView:
    """A short-lived address of the document's PDF; 409 for the seconds until it is made."""
    return _pdf(usecases.open_document(document_id, _whose(caller), ports().documents))


def _pdf(document: Document) -> PdfView:
    if not ports().documents.has_pdf(document.document_id):
        raise PdfNotReady("The PDF is being made. Please try again in a moment.")
    url, expires_at = ports().files.link(document.document_id, document.number, utc_now())
    return PdfView(url=url, expires_at=rfc3339(expires_at))


def _whose(caller: Caller) -> str | None:
    return None if caller.is_admin else caller.user_id
