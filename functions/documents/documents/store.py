"""Documents in DynamoDB.

    SERIES#<series>    LAST               the last position of a series, and when it was issued
    SERIES#<series>    N#<position>       what a list shows of a document. gsi1pk=DAY#<day>, gsi1sk=<issued at>#<number>
    DOCUMENT#<id>      DOCUMENT           the document, as one payload
    DOCUMENT#<id>      PDF                its file is in the bucket; the size and digest of it
    DOCUMENT#<id>      CREDITED           of an invoice: what credit notes have taken back of it
    ORDER#<order>      DOCUMENT#<number>  which documents an order has
    ORDER#<order>      OWNER              the account that has claimed the order of a guest
    SELLER             V#<version>        a version of the seller's data. The highest is current; none is removed
    NUMBERING#<kind>   V#<version>        a version of how documents are numbered, with both kinds in it; equal at each
                                          kind. The highest is current; none is removed
    PREFIX#<prefix>    KIND               the kind whose documents have the prefix

A document, its place in the series and its event are one transaction, on the condition that neither the series has
moved on nor the numbering of its kind has changed. So no number is missing and none is double, whatever dies. The id of
a document follows from the payment or refund, and its put fails if it exists: an event that is delivered again, or
twice at once, issues nothing.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

from documents.domain import (
    FIRST_NUMBERING,
    FIRST_SELLER,
    Credited,
    Document,
    DocumentKind,
    Draft,
    Numbering,
    NumberingChanged,
    NumberingRecord,
    Part,
    SellerChanged,
    SellerRecord,
    check_prefixes,
    nothing_credited,
    series_of,
    with_number,
)
from documents.events import DocumentIssued
from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.events import outbox
from mercato.guests import is_guest
from mercato.invocation import deadline
from mercato.money import Money
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import ConditionFailed, KeyRange, Table, Write
from mercato.store.payload import pack, unpack

SERVICE = "documents"
_OWNER = "OWNER"
# Seconds: how long one document competes for its number before its event goes back to the queue, the longest pause
# between two tries, and what the last try needs of the invocation's time.
_PATIENCE, _LONGEST_PAUSE, _LAST_TRY = 8.0, 0.3, 2.0


class CreditMoved(Exception):
    """Another credit note was issued for the invoice since what it has credited was read."""


@dataclass(frozen=True)
class Listed:
    """A document in a list."""

    document_id: str
    kind: DocumentKind
    number: str
    series: str
    position: int
    order_id: str
    order_number: str | None
    customer_id: str
    total: Money
    tax: Money
    issued_at: datetime


@dataclass(frozen=True)
class _Last:
    position: int
    at: datetime | None


class DocumentStore:
    """`sleep` is passed in for tests."""

    def __init__(self, table: Table, sleep: Callable[[float], None] = time.sleep) -> None:
        self._table = table
        self._sleep = sleep

    def get(self, document_id: str) -> Document | None:
        item = self._table.get(_pk(document_id), "DOCUMENT")
        return _document(item) if item else None

    def issue(self, draft: Draft, now: datetime, alongside: Sequence[Write] = ()) -> Document:
        """Gives the draft the next number of its series, and returns the document; the stored one if it was issued
        before.

        Of several documents that want one number, one gets it, and the others try for the next. The failed condition
        tells the position that was taken, so a try is one call. A change of the numbering since it was read fails a
        condition too, and the document tries for a number of the new series. Raises TransientError if the document has
        not got a number after its time, and CreditMoved if a condition of `alongside` fails.
        """
        numbering, pause, waited = self.numbering(draft.kind), 0.0, 0.0
        series = series_of(draft.kind, now, numbering.numbering)
        last = self._last(series)
        while True:
            issued_at = max(now, last.at) if last.at else now  # clocks differ, but dates follow the numbers
            document = with_number(draft, series, last.position + 1, issued_at)
            writes = _writes(document, last, numbering, now)
            try:
                self._table.transact([*writes, *alongside], patience=_PATIENCE)
                return document
            except ConditionFailed as failed:
                failures = getattr(failed, "failures", {failed.index: failed.item})
                if stored := failures.get(_DOCUMENT):
                    return _document(stored)
                if max(failures) >= len(writes):
                    raise CreditMoved from None
                if _NUMBERING in failures:
                    numbering = self.numbering(draft.kind)
                    series = series_of(draft.kind, now, numbering.numbering)
                    last = self._last(series)
                elif _LAST in failures:
                    last = _last(failures[_LAST])
                else:
                    raise
            pause = random.uniform(0, min(_LONGEST_PAUSE, 0.02 + 2 * pause))
            waited += pause
            if waited > _PATIENCE or deadline.left() < pause + _LAST_TRY:
                raise TransientError(f"{draft.document_id} has got no number of {series} in its time")
            self._sleep(pause)

    def note_pdf(self, document_id: str, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        key = {"pk": _pk(document_id), "sk": "PDF"}
        self._table.write(dynamo.put(key | {"size": len(content), "sha256": digest}))

    def has_pdf(self, document_id: str) -> bool:
        return self._table.get(_pk(document_id), "PDF") is not None

    def credited(self, invoice: Document) -> Credited:
        item = self._table.get(_pk(invoice.document_id), "CREDITED")
        if item is None:
            return nothing_credited(invoice)
        return Credited(item["version"], tuple(Part(*part) for part in item["parts"]))

    def of_order(self, order_id: str) -> list[Listed]:
        """All documents of an order, in the order of their issue. Those of a claimed order are the account's."""
        items = list(self._table.query_all(f"ORDER#{order_id}"))
        owners = [{"customer_id": item["customer_id"]} for item in items if item["sk"] == _OWNER]
        owner = owners[0] if owners else {}
        return sorted((_listed(item | owner) for item in items if item["sk"] != _OWNER), key=_age)

    def owner_of(self, document: Document) -> str:
        """The customer who may read it: the one it was issued to, or the account that has claimed a guest's order."""
        if not is_guest(document.customer_id):
            return document.customer_id
        item = self._table.get(f"ORDER#{document.order_id}", _OWNER)
        return str(item["customer_id"]) if item else document.customer_id

    def hand_over(self, order_id: str, customer_id: str) -> None:
        """All documents of the order are the account's, also those that are issued later. An order is claimed once."""
        self._table.write(dynamo.put({"pk": f"ORDER#{order_id}", "sk": _OWNER, "customer_id": customer_id}))

    def of_series(
        self, series: str, *, until: int | None, limit: int, cursor: str | None
    ) -> tuple[list[Listed], str | None]:
        """The documents of a series, the last one first; with `until`, from that position on."""
        pk = f"SERIES#{series}"
        start = decode_cursor(cursor, pk=pk)
        positions = KeyRange(between=(_position(0), _position(until or _MOST)), forward=False)
        page = self._table.query(pk, positions, limit=limit, start=start)
        return [_listed(item) for item in page.items], encode_cursor(page.next_key)

    def of_day(self, day: date, *, limit: int, cursor: str | None) -> tuple[list[Listed], str | None]:
        """The documents that were issued on a day of UTC, the last one first. The index lags behind a little."""
        pk = f"DAY#{day.isoformat()}"
        start = decode_cursor(cursor, gsi1pk=pk)
        page = self._table.query(pk, KeyRange(forward=False), index="gsi1", limit=limit, start=start)
        return [_listed(item) for item in page.items], encode_cursor(page.next_key)

    def all_of(self, series: str) -> Iterator[Listed]:
        """The documents of a series in the order of their numbers."""
        for item in self._table.query_all(f"SERIES#{series}", KeyRange(prefix="N#")):
            yield _listed(item)

    def seller(self) -> SellerRecord:
        found = self._table.query("SELLER", KeyRange(forward=False), limit=1).items
        return SellerRecord.model_validate(unpack(found[0]["record"])) if found else FIRST_SELLER

    def add_seller(self, record: SellerRecord) -> None:
        """Writes a version after the current one. Raises SellerChanged if there is one already."""
        key = {"pk": "SELLER", "sk": f"V#{record.version:010d}"}
        try:
            self._table.write(dynamo.put_new(key | {"record": pack(record.model_dump(mode="json"))}))
        except ConditionFailed:
            raise SellerChanged("Another request has changed the seller's data. Please read them again.") from None

    def numbering(self, kind: DocumentKind = DocumentKind.INVOICE) -> NumberingRecord:
        """How documents of all kinds are numbered, as it is stored with this kind."""
        found = self._table.query(f"NUMBERING#{kind}", KeyRange(forward=False), limit=1).items
        return _numbering(found[0]) if found else FIRST_NUMBERING

    def change_numbering(self, record: NumberingRecord) -> None:
        """Writes the version after the current one. No document has a number by the version before after this.

        Raises NumberingChanged if there is one already, and PrefixTaken if documents of the other kind have a prefix.
        """
        kinds = tuple(DocumentKind)
        owners = self._owners_of(record.numbering)
        check_prefixes(record.numbering, owners)
        stored = pack(record.model_dump(mode="json"))
        versions = [dynamo.put_new(_version_key(kind, record.version) | {"record": stored}) for kind in kinds]
        prefixes = [
            dynamo.check(f"PREFIX#{record.numbering.prefix_of(kind)}", "KIND", _IS_OF_KIND, **_kind_of(kind))
            for kind in kinds
        ]
        try:
            self._table.transact([*versions, *prefixes], patience=_PATIENCE)  # each new document has a condition on it
        except ConditionFailed as failed:
            if failed.index < len(versions):
                raise NumberingChanged(
                    "Another request has changed how documents are numbered. Please read it again."
                ) from None
            # A document of the other kind was the first with the prefix since it was read.
            check_prefixes(record.numbering, self._owners_of(record.numbering))
            raise

    def _owners_of(self, numbering: Numbering) -> dict[str, DocumentKind]:
        """The kinds whose documents have these prefixes, by prefix."""
        keys = [(f"PREFIX#{numbering.prefix_of(kind)}", "KIND") for kind in DocumentKind]
        found = self._table.get_many(keys)
        return {item["pk"].removeprefix("PREFIX#"): DocumentKind(item["kind"]) for item in found}

    def _last(self, series: str) -> _Last:
        return _last(self._table.get(f"SERIES#{series}", "LAST"))


def credited_write(invoice: Document, before: Credited, after: Credited) -> Write:
    """Keeps what is credited of the invoice, if nothing else was credited since it was read."""
    item = {
        "pk": _pk(invoice.document_id),
        "sk": "CREDITED",
        "version": after.version,
        "parts": [[part.amount, part.tax] for part in after.parts],
    }
    if not before.version:
        return dynamo.put_new(item)
    return dynamo.put(item, "#version = :seen", names={"#version": "version"}, values={":seen": before.version})


# The places of these writes in a document's transaction.
_LAST, _DOCUMENT, _NUMBERING = 0, 1, 5
_MOST = 10**10 - 1
_IS_OF_KIND = "attribute_not_exists(pk) OR #kind = :kind"


def _writes(document: Document, last: _Last, numbering: NumberingRecord, now: datetime) -> list[Write]:
    """A document's writes, on the condition that `numbering` is current. The first of a series claims its prefix."""
    prefix = {"pk": f"PREFIX#{numbering.numbering.prefix_of(document.kind)}", "sk": "KIND"}
    claim = dynamo.put(prefix | {"kind": document.kind.value}, _IS_OF_KIND, **_kind_of(document.kind))
    next_version = _version_key(document.kind, numbering.version + 1)
    listed = _listing(document)
    place = {"pk": f"SERIES#{document.series}", "sk": _position(document.position)}
    day = {"gsi1pk": f"DAY#{document.issued_at.date().isoformat()}"}
    day |= {"gsi1sk": f"{rfc3339(document.issued_at)}#{document.number}"}
    return [
        dynamo.update(
            f"SERIES#{document.series}",
            "LAST",
            "SET #position = :position, issued_at = :at",
            "#position = :before" if last.position else "attribute_not_exists(pk)",
            names={"#position": "position"},
            values={":position": document.position, ":at": rfc3339(document.issued_at)}
            | ({":before": last.position} if last.position else {}),
        ),
        dynamo.put_new(
            {
                "pk": _pk(document.document_id),
                "sk": "DOCUMENT",
                "document": pack(document.model_dump(mode="json")),
            }
        ),
        dynamo.put_new(place | day | listed),
        dynamo.put_new({"pk": f"ORDER#{document.order_id}", "sk": f"DOCUMENT#{document.number}"} | listed),
        outbox.record(_issued(document), service=SERVICE, subject=document.document_id, sequence=1, now=now),
        dynamo.check(next_version["pk"], next_version["sk"], "attribute_not_exists(pk)"),
        *([] if last.position else [claim]),
    ]


def _issued(document: Document) -> DocumentIssued:
    told = {name: getattr(document, name) for name in DocumentIssued.model_fields}
    return DocumentIssued(**told | {"kind": document.kind.value})


_PLAIN = ("document_id", "number", "series", "position", "order_id", "order_number", "customer_id")


def _listing(document: Document) -> Item:
    item: dict[str, Any] = {name: getattr(document, name) for name in _PLAIN}
    return item | {
        "kind": document.kind.value,
        "total": document.total.model_dump(),
        "tax": document.tax.model_dump(),
        "issued_at": rfc3339(document.issued_at),
    }


def _listed(item: Item) -> Listed:
    return Listed(
        **{name: item[name] for name in _PLAIN},
        kind=DocumentKind(item["kind"]),
        total=Money(**item["total"]),
        tax=Money(**item["tax"]),
        issued_at=datetime.fromisoformat(item["issued_at"]),
    )


def _age(listed: Listed) -> tuple[datetime, bool, str]:
    """An invoice comes before a credit note of the same millisecond."""
    return listed.issued_at, listed.kind is DocumentKind.CREDIT_NOTE, listed.number


def _document(item: Item) -> Document:
    return Document.model_validate(unpack(item["document"]))


def _last(item: Item | None) -> _Last:
    return _Last(item["position"], datetime.fromisoformat(item["issued_at"])) if item else _Last(0, None)


def _numbering(item: Item) -> NumberingRecord:
    return NumberingRecord.model_validate(unpack(item["record"]))


def _version_key(kind: DocumentKind, version: int) -> dict[str, str]:
    """Each kind has a copy, so that invoices and credit notes that are issued at once have no condition in common."""
    return {"pk": f"NUMBERING#{kind}", "sk": f"V#{version:010d}"}


def _kind_of(kind: DocumentKind) -> dict[str, Any]:
    return {"names": {"#kind": "kind"}, "values": {":kind": kind.value}}


def _pk(document_id: str) -> str:
    return f"DOCUMENT#{document_id}"


def _position(number: int) -> str:
    return f"N#{number:010d}"
