"""The life of an order: decisions, and the state that follows from the facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.money import Money
from orders import domain
from orders.domain import NotYetShipped, OrderNotCancellable, OrderNotConfirmable
from orders.facts import (
    Fact,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderNeedsAttention,
    OrderRefunded,
    OrderShipped,
    PaymentRecorded,
    apply,
    read_fact,
)
from orders.order import Line, Order, PaymentStatus, Shipment, Status

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SHIPMENT = Shipment(shipment_id="shp-1", carrier="sandbox", tracking_number="SBX1")
OPEN = [Status.PENDING, Status.CONFIRMED, Status.NEEDS_ATTENTION]


def pounds(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


def line(product_id: str = "mug", quantity: int = 2, price: int = 1250) -> Line:
    return Line(
        product_id=product_id, sku=product_id.upper(), name=product_id, quantity=quantity, unit_price=pounds(price)
    )


def placed() -> Order:
    (fact,) = domain.place("ord-1", "cust-1", (line(),), "tok_ok", "print-1")
    return apply(None, fact, NOON)


def order(status: Status = Status.PENDING, payment_status: PaymentStatus = PaymentStatus.NONE) -> Order:
    return replace(placed(), status=status, payment_status=payment_status)


def after(found: Order, facts: list[Fact]) -> Order:
    for fact in facts:
        found = apply(found, fact, NOON + timedelta(minutes=1))
    return found


def test_a_placed_order_is_pending_and_its_total_is_computed() -> None:
    facts = domain.place("ord-1", "cust-1", (line(quantity=2), line("pot", 3, 500)), "tok_ok", "print-1")
    found = apply(None, facts[0], NOON)
    assert (found.status, found.payment_status, found.version) == (Status.PENDING, PaymentStatus.NONE, 1)
    assert found.total == pounds(4000)
    assert found.placed_at == found.updated_at == NOON


def test_confirming_a_pending_order_authorises_its_payment() -> None:
    facts = domain.confirm(order(), "pay-1")
    assert facts == [OrderConfirmed(payment_id="pay-1")]
    found = after(order(), facts)
    assert (found.status, found.payment_status, found.payment_id) == (
        Status.CONFIRMED,
        PaymentStatus.AUTHORIZED,
        "pay-1",
    )


@pytest.mark.parametrize("status", [Status.CONFIRMED, Status.SHIPPED, Status.DELIVERED])
def test_confirming_again_changes_nothing(status: Status) -> None:
    assert domain.confirm(order(status), "pay-1") == []


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.NEEDS_ATTENTION])
def test_an_order_that_is_undone_is_not_confirmed_late(status: Status) -> None:
    with pytest.raises(OrderNotConfirmable):
        domain.confirm(order(status), "pay-1")


def test_a_capture_that_overtook_the_confirmation_is_not_forgotten() -> None:
    found = after(order(payment_status=PaymentStatus.CAPTURED), domain.confirm(order(), "pay-1"))
    assert found.payment_status is PaymentStatus.CAPTURED


@pytest.mark.parametrize("status", OPEN)
def test_an_open_order_can_be_cancelled(status: Status) -> None:
    facts = domain.cancel(order(status), "out-of-stock", "No mugs.")
    assert facts == [OrderCancelled(reason="out-of-stock", detail="No mugs.")]
    found = after(order(status), facts)
    assert (found.status, found.reason, found.detail) == (Status.CANCELLED, "out-of-stock", "No mugs.")


def test_cancelling_again_changes_nothing() -> None:
    assert domain.cancel(order(Status.CANCELLED), "internal-error", "x") == []


@pytest.mark.parametrize("status", [Status.SHIPPED, Status.DELIVERED])
def test_a_parcel_that_left_cannot_be_cancelled(status: Status) -> None:
    with pytest.raises(OrderNotCancellable):
        domain.cancel(order(status), "internal-error", "x")


def test_an_order_is_marked_once_for_each_step_it_is_stuck_at() -> None:
    stuck = after(order(), domain.mark_needs_attention(order(), "VoidPayment", "TransientError"))
    assert (stuck.status, stuck.stuck_at) == (Status.NEEDS_ATTENTION, "VoidPayment")
    assert domain.mark_needs_attention(stuck, "VoidPayment", "TransientError") == []
    assert domain.mark_needs_attention(stuck, "CancelOrder", "KeyError") == [
        OrderNeedsAttention(step="CancelOrder", reason="KeyError")
    ]


@pytest.mark.parametrize("status", [Status.SHIPPED, Status.DELIVERED, Status.CANCELLED])
def test_an_order_that_has_left_or_is_finished_keeps_its_status_when_the_saga_is_stuck(status: Status) -> None:
    assert domain.mark_needs_attention(order(status), "CancelOrder", "KeyError") == []


@pytest.mark.parametrize(
    ("known", "news"),
    [
        (PaymentStatus.NONE, PaymentStatus.CAPTURED),
        (PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED),
        (PaymentStatus.AUTHORIZED, PaymentStatus.FAILED),
        (PaymentStatus.FAILED, PaymentStatus.CAPTURED),
    ],
)
def test_a_payment_moves_forward(known: PaymentStatus, news: PaymentStatus) -> None:
    found = order(payment_status=known)
    assert after(found, domain.record_payment(found, news, "pay-1")).payment_status is news


@pytest.mark.parametrize(
    ("known", "news"),
    [
        (PaymentStatus.CAPTURED, PaymentStatus.FAILED),
        (PaymentStatus.CAPTURED, PaymentStatus.CAPTURED),
        (PaymentStatus.REFUNDED, PaymentStatus.CAPTURED),
        (PaymentStatus.REFUNDED, PaymentStatus.FAILED),
        (PaymentStatus.FAILED, PaymentStatus.FAILED),
    ],
)
def test_late_or_doubled_news_of_a_payment_changes_nothing(known: PaymentStatus, news: PaymentStatus) -> None:
    assert domain.record_payment(order(payment_status=known), news, "pay-1") == []


def test_a_payment_fails_after_the_order_was_cancelled_and_the_order_stays_cancelled() -> None:
    found = order(Status.CANCELLED)
    found = after(found, domain.record_payment(found, PaymentStatus.FAILED, "pay-1", "declined"))
    assert (found.status, found.payment_status) == (Status.CANCELLED, PaymentStatus.FAILED)


def test_a_part_refund_leaves_the_payment_captured_and_the_rest_refunds_it() -> None:
    found = order(Status.DELIVERED, PaymentStatus.CAPTURED)
    found = after(found, domain.refund(found, "ref-1", pounds(1000), "broken"))
    assert (found.payment_status, found.refunded) == (PaymentStatus.CAPTURED, pounds(1000))
    assert domain.refund(found, "ref-1", pounds(1000), "broken") == []
    found = after(found, domain.refund(found, "ref-2", pounds(1500), "broken"))
    assert (found.payment_status, found.refunded) == (PaymentStatus.REFUNDED, pounds(2500))


@pytest.mark.parametrize("status", OPEN)
def test_a_parcel_that_left_is_a_fact(status: Status) -> None:
    found = after(order(status), domain.ship(order(status), SHIPMENT))
    assert (found.status, found.shipment) == (Status.SHIPPED, SHIPMENT)


@pytest.mark.parametrize("status", [Status.SHIPPED, Status.DELIVERED, Status.CANCELLED])
def test_a_late_or_doubled_dispatch_changes_nothing(status: Status) -> None:
    assert domain.ship(order(status), SHIPMENT) == []


def test_a_shipped_order_is_delivered_once() -> None:
    shipped = order(Status.SHIPPED)
    assert domain.deliver(shipped, "shp-1") == [OrderDelivered(shipment_id="shp-1")]
    assert domain.deliver(order(Status.DELIVERED), "shp-1") == []
    assert domain.deliver(order(Status.CANCELLED), "shp-1") == []


@pytest.mark.parametrize("status", OPEN)
def test_a_delivery_that_overtook_its_dispatch_waits_for_it(status: Status) -> None:
    with pytest.raises(NotYetShipped):
        domain.deliver(order(status), "shp-1")


def test_the_timeline_tells_the_whole_story() -> None:
    found = order()
    for facts in (
        [OrderConfirmed(payment_id="pay-1")],
        [PaymentRecorded(status=PaymentStatus.CAPTURED, payment_id="pay-1")],
        [OrderShipped(**SHIPMENT.model_dump())],
        [OrderDelivered(shipment_id="shp-1")],
        [OrderRefunded(refund_id="ref-1", amount=pounds(500), reason="chip")],
    ):
        found = after(found, list(facts))
    assert [(step.status, step.detail) for step in found.timeline] == [
        ("pending", None),
        ("confirmed", None),
        ("payment_captured", None),
        ("shipped", "sandbox SBX1"),
        ("delivered", None),
        ("refunded", "5.00 GBP"),
    ]
    assert found.version == 6


def test_a_refund_of_nothing_is_no_step_of_the_timeline() -> None:
    before = after(order(), [OrderConfirmed(payment_id="pay-1")])
    found = after(before, [OrderRefunded(refund_id="ref-1", amount=pounds(0), reason="returned")])
    assert found.timeline == before.timeline
    assert "ref-1" in found.refund_ids


def test_a_stored_fact_with_fields_we_do_not_know_still_reads() -> None:
    assert read_fact("OrderConfirmed", {"payment_id": "p", "new": 1}) == OrderConfirmed(payment_id="p")


def test_a_stored_fact_of_an_unknown_type_is_an_error() -> None:
    with pytest.raises(KeyError):
        read_fact("OrderEaten", {})


RANK = {
    status: rank for rank, status in enumerate([Status.PENDING, Status.CONFIRMED, Status.SHIPPED, Status.DELIVERED])
}
NEWS = st.sampled_from(["confirm", "cancel", "attention", "captured", "failed", "refund", "ship", "deliver"])


def decide(found: Order, news: str) -> list[Fact]:
    match news:
        case "confirm":
            return domain.confirm(found, "pay-1")
        case "cancel":
            return domain.cancel(found, "internal-error", "x")
        case "attention":
            return domain.mark_needs_attention(found, "VoidPayment", "KeyError")
        case "captured":
            return domain.record_payment(found, PaymentStatus.CAPTURED, "pay-1")
        case "failed":
            return domain.record_payment(found, PaymentStatus.FAILED, "pay-1")
        case "refund":
            return domain.refund(found, "ref-1", pounds(2500), "x")
        case "ship":
            return domain.ship(found, SHIPMENT)
        case _:
            return domain.deliver(found, "shp-1")


@given(st.lists(NEWS, max_size=30))
def test_whatever_comes_in_whatever_order_nothing_goes_backwards(story: list[str]) -> None:
    found = order()
    for news in story:
        before = found
        try:
            found = after(found, decide(found, news))
        except (OrderNotConfirmable, OrderNotCancellable, NotYetShipped):
            continue
        payments = list(PaymentStatus)
        assert payments.index(found.payment_status) >= payments.index(before.payment_status)
        if before.status in RANK and found.status in RANK:
            assert RANK[found.status] >= RANK[before.status]
        if before.status in (Status.CANCELLED, Status.DELIVERED):
            assert found.status is before.status
        assert after(found, []) == found
        assert found.refunded in (pounds(0), pounds(2500))
