"""A customer's cancellation: when it is accepted, and what it prevents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orders import domain
from orders.domain import OrderNotCancellable, OrderNotConfirmable
from orders.events import announcement
from orders.facts import CancellationNotNeeded, CancellationRequested, OrderCancelled, OrderNeedsAttention
from orders.order import MAX_ANSWERED, Answered, Order, Request, Status
from tests.unit.orders.test_domain import SHIPMENT, after, order

REQUEST = Request(id="req-1", fingerprint="print-1")


def cancelling(status: Status = Status.CONFIRMED) -> Order:
    found = order(status)
    return after(found, domain.request_cancellation(found, "too_slow", REQUEST))


@pytest.mark.parametrize("status", [Status.PENDING, Status.CONFIRMED])
def test_before_it_has_shipped_an_order_can_be_cancelled_by_its_customer(status: Status) -> None:
    assert domain.request_cancellation(order(status), "too_slow", REQUEST) == [
        CancellationRequested(reason="too_slow", request=REQUEST)
    ]
    found = cancelling(status)
    assert (found.status, found.cancellation, found.timeline[-1].status) == (
        Status.CANCELLING,
        "too_slow",
        Status.CANCELLING,
    )
    assert found.answered == (Answered(REQUEST, found.version),)


@pytest.mark.parametrize("status", [Status.SHIPPED, Status.DELIVERED, Status.REFUNDED, Status.NEEDS_ATTENTION])
def test_a_wish_that_cannot_be_granted_is_refused_with_the_current_state(status: Status) -> None:
    with pytest.raises(OrderNotCancellable) as refused:
        domain.request_cancellation(order(status), "", REQUEST)
    assert refused.value.extra == {"order_status": status}


@pytest.mark.parametrize("status", [Status.CANCELLING, Status.CANCELLED])
def test_an_order_that_is_being_undone_already_is_left_alone_and_the_request_is_remembered(status: Status) -> None:
    before = order(status)
    facts = domain.request_cancellation(before, "too_slow", REQUEST)
    assert facts == [CancellationNotNeeded(reason="too_slow", request=REQUEST)]
    found = after(before, facts)
    assert found.answered == (Answered(REQUEST, before.version + 1),)
    assert replace(found, answered=(), version=before.version, updated_at=before.updated_at) == before


def test_thousands_of_wishes_for_what_is_done_leave_an_order_as_large_as_a_few_do() -> None:
    found, facts_made = order(Status.CANCELLED), 0
    for number in range(5000):
        facts = domain.request_cancellation(found, "other", Request(id=f"req-{number}", fingerprint="print"))
        found, facts_made = after(found, facts) if facts else found, facts_made + len(facts)
    assert facts_made == len(found.answered) == MAX_ANSWERED
    assert [done.request.id for done in found.answered] == [f"req-{number}" for number in range(MAX_ANSWERED)]


def test_facts_of_before_the_bound_make_no_larger_order() -> None:
    wishes = [CancellationNotNeeded(reason="other", request=REQUEST) for _ in range(5000)]
    found = after(order(Status.CANCELLED), [*wishes])
    assert len(found.answered) == MAX_ANSWERED
    assert found.version == order(Status.CANCELLED).version + 5000


def test_what_nobody_needs_is_told_to_nobody() -> None:
    assert announcement(order(Status.CANCELLED), CancellationNotNeeded(reason="", request=REQUEST)) is None


def test_an_order_that_is_being_cancelled_is_never_confirmed() -> None:
    with pytest.raises(OrderNotConfirmable) as refused:
        domain.confirm(cancelling(Status.PENDING), "pay-1")
    assert refused.value.extra == {"order_status": Status.CANCELLING}


def test_what_the_customer_wished_is_the_reason_whatever_else_went_wrong() -> None:
    assert domain.cancel(cancelling(), "out-of-stock", "No mugs.") == [
        OrderCancelled(reason="cancelled-by-customer", detail="You cancelled this order.")
    ]
    stuck = after(cancelling(), domain.mark_needs_attention(cancelling(), "RefundPayment", "KeyError"))
    assert stuck.status is Status.NEEDS_ATTENTION
    assert domain.cancel(stuck, "internal-error", "x")[0] == OrderCancelled(
        reason="cancelled-by-customer", detail="You cancelled this order."
    )


def test_a_cancellation_that_gets_stuck_needs_attention() -> None:
    assert domain.mark_needs_attention(cancelling(), "RefundPayment", "KeyError") == [
        OrderNeedsAttention(step="RefundPayment", reason="KeyError")
    ]


def test_a_parcel_that_had_left_is_a_fact_and_the_customer_reads_why() -> None:
    found = after(cancelling(), domain.ship(cancelling(), SHIPMENT))
    assert (found.status, found.timeline[-1].detail) == (
        Status.SHIPPED,
        "sandbox SBX1; it had left when you cancelled",
    )
    with pytest.raises(OrderNotCancellable):
        domain.cancel(found, "cancelled-by-customer", "x")


def test_an_order_without_a_wish_keeps_its_own_reason() -> None:
    found = replace(order(), cancellation=None)
    assert domain.cancel(found, "out-of-stock", "No mugs.") == [
        OrderCancelled(reason="out-of-stock", detail="No mugs.")
    ]
