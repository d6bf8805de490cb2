"""An order from its snapshot and the facts after it equals the one from all its facts."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mercato.errors import DomainError
from orders import domain, returns, store
from orders.facts import Fact
from orders.order import Address, Order, PaymentStatus, ReceivedLine, Request, ReturnedLine
from orders.returns import Approval, Terms
from orders.store import OrderStore
from tests.bench.memory_table import MemoryTable
from tests.conftest import NOON
from tests.unit.orders.test_domain import SHIPMENT, line, pounds

ADDRESS = Address(name="Ada", line1="12 Square", city="London", postcode="SW1Y", country="GB")
TERMS = Terms(timedelta(days=30), Approval.STAFF)
LIFE = ["confirm", "captured", "ship", "deliver", "return", "approve", "receive", "refund", "return", "give back"]
NEWS = st.sampled_from([*set(LIFE), "refuse", "stop", "failed", "attention", "wish", "cancel"])


def decide(order: Order, news: str) -> list[Fact]:
    number = str(order.version)
    request, piece = Request(id=number, fingerprint="f"), [ReturnedLine(product_id="mug", quantity=1)]
    last = order.returns[-1].return_id if order.returns else "none"
    match news:
        case "confirm":
            return domain.confirm(order, "pay-1")
        case "captured":
            return domain.record_payment(order, PaymentStatus.CAPTURED, "pay-1")
        case "failed":
            return domain.record_payment(order, PaymentStatus.FAILED, "pay-1", "declined")
        case "ship":
            return domain.ship(order, SHIPMENT)
        case "deliver":
            return domain.deliver(order, SHIPMENT.shipment_id)
        case "return":
            return returns.request_return(order, piece, "é", TERMS, request, NOON)
        case "approve":
            return returns.approve_return(order, last, request)
        case "refuse":
            return returns.refuse_return(order, last, "é", request)
        case "stop":
            return returns.cancel_return(order, last, request)
        case "receive":
            came = [ReceivedLine(product_id="mug", quantity=1, write_off=1)]
            return returns.receive_return(order, last, came, f"ref-{number}", request)
        case "give back":
            return returns.settle_parcel(order, piece, "lost", f"ref-{number}", request)
        case "refund":
            return domain.refund(order, order.returns[-1].refund_id if order.returns else "ref-0", pounds(700), "x")
        case "attention":
            return domain.mark_needs_attention(order, "VoidPayment", "KeyError")
        case "wish":
            return domain.request_cancellation(order, "late", request)
        case _:
            return domain.cancel(order, "internal-error", "x")


@given(
    story=st.one_of(st.just(LIFE), st.lists(NEWS, max_size=25)),
    before=st.lists(NEWS, max_size=3),
    every=st.integers(1, 8),
)
@settings(deadline=None)
def test_an_order_is_its_snapshot_and_the_facts_after_it(story: list[str], before: list[str], every: int) -> None:
    table = MemoryTable()
    store, order_id = OrderStore(table, snapshot_every=every), str(uuid.uuid4())
    order = store.place(order_id, domain.place(order_id, "ada", (line(),), "tok_ok", "print"), ADDRESS, NOON)
    for news in [*before, *story]:
        try:
            facts = decide(order, news)
        except (DomainError, domain.NotYetShipped):
            continue
        if facts:
            order = store.append(order_id, order, facts, NOON)
        assert store.load(order_id) == order
        assert store.load(order_id, up_to=order.version) == order
    assert len(list(table.query_all(f"S#order#{order_id}"))) == order.version // every


def test_an_order_of_another_shape_has_snapshots_of_its_own() -> None:
    """Beside a new release the one before still makes snapshots, without the fields that it does not know."""
    shape = json.dumps(TypeAdapter(Order).json_schema(), sort_keys=True)

    found = (store._STATE, hashlib.sha256(shape.encode()).hexdigest()[:12])

    assert found == (8, "6398c6115ccb"), "Order has changed: increase _STATE, and state both here"
