"""A parcel that its carrier gives up: the order's state, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orders import domain, returns
from orders.domain import NotYetShipped, OrderNotCancellable
from orders.facts import (
    CancellationRequested,
    OrderAnonymised,
    OrderDelivered,
    OrderNeedsAttention,
    OrderRefunded,
    OrderShipped,
    ReturnReceived,
)
from orders.order import Order, PaymentStatus, Request, ReturnedLine, Status
from orders.returns import Approval, OrderNotReturnable, Terms
from tests.conftest import NOON
from tests.unit.orders.test_domain import SHIPMENT, after, order, pounds

REQUEST = Request(id="req-1", fingerprint="print-1")
ALL = (ReturnedLine(product_id="mug", quantity=2),)


def not_collected() -> Order:
    found = order(Status.CONFIRMED, PaymentStatus.CAPTURED)
    return after(found, domain.give_up(found, has_left=False))


def shipped() -> Order:
    found = order(Status.CONFIRMED, PaymentStatus.CAPTURED)
    return after(found, domain.ship(found, SHIPMENT))


def undelivered() -> Order:
    return after(shipped(), domain.give_up(shipped(), has_left=True))


def test_a_parcel_that_was_never_collected_needs_attention() -> None:
    found = order(Status.CONFIRMED)
    assert domain.give_up(found, has_left=False) == [OrderNeedsAttention(step="Delivery", reason="not-collected")]
    assert (not_collected().status, not_collected().stuck_at) == (Status.NEEDS_ATTENTION, "Delivery")
    assert not_collected().timeline[-1].detail == "We are looking into this order."


@pytest.mark.parametrize("has_left", [True, False])
def test_a_parcel_that_was_lost_on_its_way_needs_attention(has_left: bool) -> None:
    fact = OrderNeedsAttention(step="Delivery", reason="undelivered")
    assert domain.give_up(shipped(), has_left=has_left) == [fact]


@pytest.mark.parametrize("status", [Status.CONFIRMED, Status.CANCELLING, Status.NEEDS_ATTENTION])
def test_a_loss_that_overtook_its_dispatch_waits_for_it(status: Status) -> None:
    with pytest.raises(NotYetShipped):
        domain.give_up(order(status), has_left=True)


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.REFUNDED, Status.CANCELLED])
@pytest.mark.parametrize("has_left", [True, False])
def test_a_late_failure_moves_no_finished_order(status: Status, has_left: bool) -> None:
    assert domain.give_up(order(status), has_left=has_left) == []


@pytest.mark.parametrize("status", [Status.CANCELLING, Status.NEEDS_ATTENTION])
def test_an_order_that_is_being_undone_needs_nobody_for_a_parcel_that_was_never_collected(status: Status) -> None:
    assert domain.give_up(order(status), has_left=False) == []


@pytest.mark.parametrize("found", [not_collected(), undelivered()])
def test_a_failure_that_comes_twice_and_a_doubled_confirmation_change_nothing(found: Order) -> None:
    assert domain.give_up(found, has_left=found.has_left) == []
    assert domain.confirm(found, "pay-1") == []


def test_what_was_never_collected_may_be_cancelled_and_is_then_undone() -> None:
    (wish,) = domain.request_cancellation(not_collected(), "too_slow", REQUEST)
    assert wish == CancellationRequested(reason="too_slow", request=REQUEST)
    found = after(not_collected(), [wish])
    assert found.status is Status.CANCELLING
    assert after(found, domain.cancel(found, "x", "x")).status is Status.CANCELLED


def test_what_is_stuck_otherwise_may_not_be_cancelled() -> None:
    found = not_collected()
    stuck = after(found, domain.mark_needs_attention(found, "RefundPayment", "KeyError"))
    with pytest.raises(OrderNotCancellable):
        domain.request_cancellation(stuck, "too_slow", REQUEST)


def test_that_it_was_dispatched_may_be_told_after_its_failure() -> None:
    found = after(not_collected(), domain.ship(not_collected(), SHIPMENT))
    assert found.status is Status.SHIPPED
    found = after(found, domain.give_up(found, has_left=True))
    assert (found.status, found.has_left) == (Status.NEEDS_ATTENTION, True)


def test_a_parcel_that_was_lost_may_be_delivered_all_the_same() -> None:
    assert domain.deliver(undelivered(), "shp-1") == [OrderDelivered(shipment_id="shp-1")]
    found = after(undelivered(), domain.deliver(undelivered(), "shp-1"))
    assert found.status is Status.DELIVERED
    assert domain.give_up(found, has_left=True) == []
    with pytest.raises(NotYetShipped):
        domain.deliver(not_collected(), "shp-1")


def test_a_lost_parcel_is_neither_dispatched_anew_nor_cancelled_nor_stuck_elsewhere() -> None:
    found = undelivered()
    assert OrderShipped(**SHIPMENT.model_dump()) not in domain.ship(found, SHIPMENT)
    assert domain.mark_needs_attention(found, "CancelOrder", "KeyError") == []
    with pytest.raises(OrderNotCancellable):
        domain.request_cancellation(found, "too_slow", REQUEST)
    with pytest.raises(OrderNotCancellable):
        domain.cancel(found, "internal-error", "x")


@pytest.mark.parametrize("reason", ["undelivered", "lost"])
def test_an_operator_ends_a_lost_parcel_with_all_its_money_back(reason: str) -> None:
    facts = returns.settle_parcel(undelivered(), ALL, reason, "ref-1", REQUEST)
    (made,) = facts
    assert isinstance(made, ReturnReceived)
    assert (made.amount, made.reason) == (pounds(2500), reason)
    assert [(line.restock, line.write_off) for line in made.lines] == [(0 if reason == "lost" else 2, 0)]
    found = after(undelivered(), facts)
    assert found.status is Status.NEEDS_ATTENTION
    refund = domain.refund(found, "ref-1", pounds(2500), "x")
    assert refund == [OrderRefunded(refund_id="ref-1", amount=pounds(2500), reason="x")]
    ended = after(found, refund)
    assert (ended.status, ended.payment_status) == (Status.REFUNDED, PaymentStatus.REFUNDED)
    assert domain.deliver(ended, "shp-1") == []
    assert domain.give_up(ended, has_left=True) == []


def test_some_of_it_may_come_back_and_some_be_lost() -> None:
    one = (ReturnedLine(product_id="mug", quantity=1),)
    found = after(undelivered(), returns.settle_parcel(undelivered(), one, "undelivered", "ref-1", REQUEST))
    found = after(found, domain.refund(found, "ref-1", pounds(1250), "x"))
    assert found.status is Status.NEEDS_ATTENTION
    found = after(found, returns.settle_parcel(found, one, "lost", "ref-2", Request(id="r-2", fingerprint="p")))
    assert after(found, domain.refund(found, "ref-2", pounds(1250), "x")).status is Status.REFUNDED


def test_nobody_requests_to_return_what_has_not_arrived() -> None:
    terms = Terms(timedelta(days=30), Approval.STAFF, by_staff=True)
    with pytest.raises(OrderNotReturnable):
        returns.request_return(undelivered(), ALL, "damaged", terms, REQUEST, NOON)


@pytest.mark.parametrize("found", [not_collected(), shipped(), order(Status.NEEDS_ATTENTION)])
def test_what_was_not_given_up_on_its_way_is_not_lost(found: Order) -> None:
    with pytest.raises(OrderNotReturnable):
        returns.settle_parcel(found, ALL, "lost", "ref-1", REQUEST)


def test_the_end_of_a_lost_parcel_erases_the_address_of_a_customer_who_has_left() -> None:
    found = replace(undelivered(), customer_left=True)
    found = after(found, returns.settle_parcel(found, ALL, "lost", "ref-1", REQUEST))
    assert domain.refund(found, "ref-1", pounds(2500), "x")[1:] == [OrderAnonymised()]
    paid_back = after(
        replace(undelivered(), customer_left=True), domain.refund(undelivered(), "ref-0", pounds(2500), "x")
    )
    assert paid_back.status is Status.NEEDS_ATTENTION
    assert returns.settle_parcel(paid_back, ALL, "lost", "ref-1", REQUEST)[1:] == [OrderAnonymised()]
