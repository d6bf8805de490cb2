"""Each page of a list fits into Lambda's response, however large its items are, and has a cursor for the next page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import get_args, get_type_hints

import pytest
from annotated_types import Le

from documents.domain import DocumentKind
from documents.views import StaffListedView
from inventory.api import LedgerEntryView, ListedStockView
from inventory.domain import Level
from mercato.http import Query, Response, View
from mercato.http.audit import AuditEntry, AuditTrail
from mercato.http.response import write_response
from mercato.languages import Language
from mercato.money import MAX_AMOUNT, Money
from mercato.store.dynamo import Table
from notifications import texts
from notifications.api import NotificationView, StopView
from notifications.stops import Reason, Stop
from ops.dead_letters import api as dead_letters
from ops.journal.views import EventView
from ops.sagas.domain import Kind
from ops.sagas.views import AuditView, ParkedView
from orders.order import ReturnStatus
from orders.views import OpenReturnView, StaffOrderView
from orders.views import SummaryView as OrderView
from products.api import ImportRow, ProductView
from products.domain import Availability
from promotions.domain import Kind as CouponKind
from promotions.views import CouponView
from shipping.api import ShipmentRow
from tests.kit.routes import Served, all_routes

MOST = 6 * 1024 * 1024  # bytes of a response that Lambda accepts; API Gateway accepts 10 MB
QUERY = 1024 * 1024  # bytes of items, at most, that one Query of DynamoDB returns
WIDE = "\U0001f600"  # four bytes in UTF-8, as a quotation mark has that JSON escapes twice
COSTLY = Money(amount=MAX_AMOUNT, currency="GBP")


def _product() -> View:
    about = dict.fromkeys(("product_id", "status"), "x" * 36) | {"availability": Availability.IN_STOCK}
    text = {"sku": "X" * 64, "name": WIDE * 200, "description": WIDE * 5000, "category": WIDE * 200}
    return ProductView(**about, **text, price=COSTLY, version=10**6)


def _order() -> View:
    about = dict.fromkeys(("order_id", "status", "payment_status", "reason", "placed_at", "updated_at"), "x" * 64)
    return OrderView(**about, number="x" * 16, total=COSTLY, line_count=500, version=10**6)


def _staff_order() -> View:
    return StaffOrderView(**dict(_order()), customer_id="x" * 64)


def _event() -> View:
    """An event's data has six ids at most."""
    about = dict.fromkeys(set(EventView.model_fields) - {"sequence", "ids"}, "x" * 256)
    return EventView(**about, sequence=10**9, ids={f"a_long_name_{number}_id": "x" * 256 for number in range(6)})


def _notification() -> View:
    """An order with as many lines as a mail names. A product's name is the longest text in a mail."""
    content = texts.order_confirmed("x" * 36, COSTLY, [(10_000, WIDE * 200)] * 500)
    text = max((texts.write(content, WIDE * 200, one) for one in Language), key=lambda text: len(text.body))
    about = dict.fromkeys(("notification_id", "kind", "order_id", "created_at", "channel", "status"), "x" * 36)
    return NotificationView(**about, subject=text.subject, body=text.body, read=False)


def _audit_entry() -> View:
    """A path has three ids at most, of 200 characters each."""
    about = dict.fromkeys(("entry_id", "at", "actor", "service", "request_id"), "x" * 200)
    return AuditView(**about, action="x" * 300, target=WIDE * 700, status=200)


def _stock() -> View:
    counts = dict.fromkeys(set(ListedStockView.model_fields) - {"product_id", "level", "is_default"}, 10**9)
    return ListedStockView(product_id="x" * 64, level=Level.LOW, is_default=False, **counts)


def _ledger_entry() -> View:
    """A reason is the longest text in it that people write."""
    about = dict.fromkeys(("kind", "actor", "order_id", "request_id"), "x" * 64)
    counts = dict.fromkeys(("delta", "balance", "shard"), 10**9)
    return LedgerEntryView(at=datetime(2026, 11, 28, tzinfo=UTC), reason=WIDE * 500, **about, **counts)


def _shipment() -> View:
    about = dict.fromkeys(
        ("shipment_id", "order_id", "order_number", "status", "carrier", "tracking_number"), WIDE * 64
    )
    since = datetime(2026, 11, 28, tzinfo=UTC)
    return ShipmentRow(awaits=["confirmation", "payment"], failure=WIDE * 500, since=since, has_left=True, **about)


def _return() -> View:
    at, amount = datetime(2026, 11, 28, tzinfo=UTC), Money(amount=MAX_AMOUNT, currency="GBP")
    about = dict.fromkeys(("order_id", "customer_id", "return_id", "reason", "number"), "x" * 64)
    return OpenReturnView(status=ReturnStatus.REQUESTED, units=10**9, amount=amount, at=at, since=at, **about)


def _import() -> View:
    about = dict.fromkeys(("import_id", "actor", "state"), "x" * 64)
    counts = dict.fromkeys(("created", "updated", "unchanged", "refused"), 1000)
    return ImportRow(at=datetime(2026, 11, 28, tzinfo=UTC), **about, **counts)


def _coupon() -> View:
    times = dict.fromkeys(("valid_from", "valid_until", "created_at", "ended_at"), "x" * 24)
    counts = dict.fromkeys(("basis_points", "limit", "limit_per_customer", "used", "version"), 10**9)
    text = {"code": "X" * 32, "description": WIDE * 200, "category": WIDE * 200, "product_ids": ["x" * 64] * 100}
    return CouponView(kind=CouponKind.AMOUNT, amount=COSTLY, minimum=COSTLY, combines=False, **times, **counts, **text)


def _document() -> View:
    names = ("document_id", "number", "series", "order_id", "order_number", "customer_id", "issued_at")
    return StaffListedView(**dict.fromkeys(names, "x" * 64), kind=DocumentKind.CREDIT_NOTE, total=COSTLY, tax=COSTLY)


def _saga() -> View:
    """Step Functions keeps 32,768 letters of a cause, each of which JSON may escape twice."""
    names = set(ParkedView.model_fields) - {"kind", "cause", "error"}
    return ParkedView(**dict.fromkeys(names, "x" * 200), kind=next(iter(Kind)), cause='"' * 32_768, error="x" * 256)


def _stopped() -> View:
    return StopView.of(Stop("a" * 254, Reason.COMPLAINT, "OnAccountSuppressionList", datetime(2026, 1, 1, tzinfo=UTC)))


# By route: its largest item, and whether one Query of DynamoDB makes the whole page, which then has at most 1 MB.
LARGEST: dict[str, tuple[Callable[[], View], bool]] = {
    "GET /api/products": (_product, False),
    "GET /api/orders": (_order, False),
    "GET /api/notifications": (_notification, True),
    "GET /api/notifications/stops": (_stopped, True),
    "GET /api/products/imports": (_import, False),
    "GET /api/shipments": (_shipment, False),
    "GET /api/inventory": (_stock, False),
    "GET /api/inventory/{product_id}/ledger": (_ledger_entry, False),
    "GET /api/promotions/coupons": (_coupon, True),
    "GET /api/ops/documents": (_document, True),
    "GET /api/ops/orders": (_staff_order, False),
    "GET /api/ops/orders/returns": (_return, False),
    "GET /api/ops/events": (_event, False),
    "GET /api/ops/audit": (_audit_entry, True),
    "GET /api/ops/sagas": (_saga, True),
}
# It measures its items.
MEASURED = {"GET /api/ops/dlq/{queue}/messages": dead_letters._MOST_BYTES}


def of_kind(page: type[View], item: View) -> bool:
    return get_args(page.model_fields["items"].annotation) == (type(item),)


def query_of(served: Served) -> type[Query] | None:
    kinds = [kind for kind in served.route.parameters.values() if isinstance(kind, type) and issubclass(kind, Query)]
    return next((kind for kind in kinds if "limit" in kind.model_fields), None)


PAGED = {served.name: served for served in all_routes() if query_of(served)}


def test_every_list_is_known() -> None:
    assert PAGED.keys() == LARGEST.keys() | MEASURED.keys()


def pages_of(served: Served) -> tuple[type[View], ...]:
    found = get_type_hints(served.route.function)["return"]
    return get_args(found) or (found,)


@pytest.mark.parametrize("name", sorted(PAGED))
def test_every_page_names_the_next(name: str) -> None:
    for page in pages_of(PAGED[name]):
        assert {"items", "next_cursor"} <= page.model_fields.keys()


@pytest.mark.parametrize("name", sorted(LARGEST))
def test_a_page_of_the_largest_items_fits_into_an_answer(name: str) -> None:
    query = query_of(PAGED[name])
    assert query is not None
    (limit,) = (rule.le for rule in query.model_fields["limit"].metadata if isinstance(rule, Le))
    assert isinstance(limit, int)
    make_largest, is_one_query = LARGEST[name]
    largest = make_largest()
    stored = sum(len(str(value).encode()) for value in largest.model_dump(mode="json").values())
    count = min(limit, QUERY // stored + 1) if is_one_query else limit
    (page,) = (page for page in pages_of(PAGED[name]) if of_kind(page, largest))
    rest = dict.fromkeys(page.model_fields, None) | {"items": [largest] * count, "next_cursor": "x" * 2000}
    answer = write_response(Response(page.model_construct(**rest)), "req-12345678")

    # Lambda's runtime writes the answer as JSON once more.
    assert len(json.dumps(answer, ensure_ascii=False).encode()) < MOST


def test_a_page_that_measures_its_items_stays_below_an_answer() -> None:
    """A message of 256 KB may exceed the limit, and JSON within JSON is at most twice as long."""
    message = 256 * 1024
    assert 2 * (max(MEASURED.values()) + 2 * message) < MOST


def test_a_list_of_items_too_large_for_one_page_is_read_whole_page_by_page(
    make_table: Callable[[str], Table], noon: datetime
) -> None:
    """A Query ends at 1 MB, so its page has a cursor there, whatever limit was requested."""
    table = make_table("AuditTable")
    trail = AuditTrail(table)
    for number in range(6):
        entry = AuditEntry.make("boss", "orders", f"POST /{number}", "x" * 390_000, "req-12345678", noon)
        trail.ask(entry)

    found: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        entries, cursor = trail.list_page(limit=100, cursor=cursor)
        found += [entry.action for entry in entries]
        pages += 1

    assert sorted(found) == [f"POST /{number}" for number in range(6)]
    assert pages > 1
