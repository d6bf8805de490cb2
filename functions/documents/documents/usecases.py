"""The use cases of documents. A document is issued once for a payment or a refund, however often its event comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from documents import domain
from documents.domain import (
    Document,
    DocumentNotFound,
    Numbering,
    NumberingChanged,
    NumberingRecord,
    Ordered,
    Paid,
    Refunded,
    Seller,
    SellerChanged,
    SellerRecord,
)
from documents.files import Files
from documents.store import CreditMoved, DocumentStore, credited_write
from mercato.email_address import read_email
from mercato.store.retry import RESEND_ATTEMPTS, retry_on_conflict
from mercato.telemetry.logs import log

_ATTEMPTS = 5


class Orders(Protocol):
    def ask(self, order_id: str) -> Ordered: ...


def issue_invoice(paid: Paid, orders: Orders, documents: DocumentStore, now: datetime) -> Document:
    """Idempotent: the invoice's id is derived from the payment."""
    document_id = domain.invoice_id_of(paid.payment_id)
    issued = documents.get(document_id)
    if issued:
        return issued
    order = orders.ask(paid.order_id)
    return documents.issue(domain.draft_invoice(document_id, paid, order, documents.seller().seller), now)


def issue_credit_note(refunded: Refunded, orders: Orders, documents: DocumentStore, now: datetime) -> Document | None:
    """Idempotent: the credit note's id is derived from payment and refund.

    The refund's event may come before the payment's, and money that was captured only to be refunded is never published
    as paid. So the invoice is issued here if there is none. Returns None if only a part of the total was captured: it
    paid no order and all of it is refunded, so there is nothing to invoice.
    """
    document_id = domain.credit_note_id_of(refunded.payment_id, refunded.refund_id)
    issued = documents.get(document_id)
    if issued:
        return issued
    order = orders.ask(refunded.order_id)
    if refunded.captured and refunded.captured.amount < order.total.amount:
        log.warning("refund of a part that paid no order", extra={"order_id": order.order_id})
        return None
    paid = Paid(refunded.payment_id, refunded.order_id, order.total)
    invoice = issue_invoice(paid, orders, documents, now)
    returned = next((one for one in order.returns if one.refund_id == refunded.refund_id), None)

    def write(credited: domain.Credited) -> Document:
        note = domain.draft_credit_note(document_id, refunded, invoice, credited, returned)
        kept = credited_write(invoice, credited, domain.credit(invoice, credited, note))
        return documents.issue(note, now, [kept])

    return retry_on_conflict(
        lambda: documents.credited(invoice),
        write,
        conflict=CreditMoved,
        attempts=_ATTEMPTS,
        exhausted=f"invoice {invoice.number} is credited too often at once",
    )


def open_document(document_id: str, customer_id: str | None, documents: DocumentStore) -> Document:
    """`customer_id` is None for callers who may see every document."""
    document = documents.get(document_id)
    if document is None or (customer_id is not None and customer_id != documents.owner_of(document)):
        raise DocumentNotFound("There is no such document.")
    return document


def open_linked(document_id: str, order_id: str, documents: DocumentStore) -> Document:
    """A document of the order that a guest's link opens."""
    document = documents.get(document_id)
    if document is None or document.order_id != order_id:
        raise DocumentNotFound("There is no such document.")
    return document


def keep_pdf(document_id: str, render: Callable[[Document], bytes], files: Files, documents: DocumentStore) -> None:
    """Idempotent: the same document is the same file."""
    document = open_document(document_id, None, documents)
    content = render(document)
    files.keep(document_id, content)
    documents.note_pdf(document_id, content)


def change_seller(seller: Seller, version: int, documents: DocumentStore) -> SellerRecord:
    """Documents that are issued from now on have these data; earlier ones keep theirs. A retry finds what it wrote.

    Raises InvalidEmail and SellerChanged.
    """
    checked = seller.model_copy(update={"email": read_email(seller.email)}) if seller.email is not None else seller
    wanted = SellerRecord(version=version + 1, seller=checked)

    def write(current: SellerRecord) -> SellerRecord:
        if current == wanted:
            return current
        if current.version != version:
            raise SellerChanged("Another request has changed the seller's data. Please read them again.")
        documents.add_seller(wanted)
        return wanted

    return retry_on_conflict(documents.seller, write, conflict=SellerChanged, attempts=RESEND_ATTEMPTS)


def change_numbering(numbering: Numbering, version: int, documents: DocumentStore) -> NumberingRecord:
    """The next document has a number of its new series; numbers that were given stay. A retry finds what it wrote.

    Raises NumberingChanged and PrefixTaken.
    """
    wanted = NumberingRecord(version=version + 1, numbering=numbering)

    def write(current: NumberingRecord) -> NumberingRecord:
        if current == wanted:
            return current
        if current.version != version:
            raise NumberingChanged("Another request has changed how documents are numbered. Please read it again.")
        documents.change_numbering(wanted)
        return wanted

    return retry_on_conflict(documents.numbering, write, conflict=NumberingChanged, attempts=RESEND_ATTEMPTS)
