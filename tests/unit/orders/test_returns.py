"""Returns: what may be returned, and how much is refunded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.charges import Charge, Kind, tax_of, total_of
from mercato.errors import DomainError
from mercato.money import Money
from orders import domain, returns
from orders.facts import (
    Fact,
    OrderRefunded,
    ReturnAccepted,
    ReturnApproved,
    ReturnCancelled,
    ReturnReceived,
    ReturnRefused,
    ReturnRequested,
)
from orders.order import Order, PaymentStatus, ReceivedLine, Request, ReturnedLine, ReturnStatus, Status, Step
from orders.returns import (
    MAX_RETURNED_LINES,
    Approval,
    MoreThanRequested,
    NothingReceived,
    NotInOrder,
    OrderNotReturnable,
    ReturnNotChangeable,
    ReturnNotFound,
    ReturnTooLarge,
    ReturnWindowClosed,
    Terms,
    TooManyReturns,
)
from tests.conftest import NOON
from tests.unit.orders.test_domain import after, line, placed, pounds

TERMS = Terms(timedelta(days=30), Approval.STAFF)
AT_ONCE = replace(TERMS, approval=Approval.AUTOMATIC)
STAFF = replace(TERMS, by_staff=True)
TOTAL = 4000  # two mugs at 12.50, three pots at 5.00


def delivered() -> Order:
    lines = (line("mug", 2, 1250), line("pot", 3, 500))
    return replace(
        placed(),
        lines=lines,
        total=pounds(TOTAL),
        status=Status.DELIVERED,
        payment_status=PaymentStatus.CAPTURED,
        timeline=(Step(NOON, Status.DELIVERED),),
    )


def wanted(**quantities: int) -> list[ReturnedLine]:
    return [ReturnedLine(product_id=product_id, quantity=quantity) for product_id, quantity in quantities.items()]


def asking(name: str) -> Request:
    return Request(id=name, fingerprint=f"print-{name}")


def request(order: Order, name: str = "1", terms: Terms = AT_ONCE, **quantities: int) -> Order:
    now = NOON + timedelta(days=1)
    return after(
        order, returns.request_return(order, wanted(**quantities), "damaged", terms, asking(f"ret-{name}"), now)
    )


def came(**quantities: int) -> list[ReceivedLine]:
    return [
        ReceivedLine(product_id=product_id, quantity=quantity, restock=quantity)
        for product_id, quantity in quantities.items()
    ]


def receiving(order: Order, name: str, lines: list[ReceivedLine]) -> list[Fact]:
    return returns.receive_return(order, f"ret-{name}", lines, f"ref-{name}", asking(f"rec-{name}"))


def accept(order: Order, name: str = "1", **quantities: int) -> Order:
    """The order with a return that was requested and received whole."""
    requested = request(order, name, AT_ONCE, **quantities)
    return after(requested, receiving(requested, name, came(**quantities)))


def refunded(order: Order, name: str, amount: int) -> Order:
    return after(order, domain.refund(order, f"ref-{name}", pounds(amount), "return"))


def test_a_request_says_what_would_be_refunded_and_moves_nothing() -> None:
    (fact,) = returns.request_return(delivered(), wanted(mug=1, pot=2), "damaged", TERMS, asking("ret-1"), NOON)
    assert fact == ReturnRequested(
        return_id="ret-1",
        lines=tuple(wanted(mug=1, pot=2)),
        amount=pounds(2250),
        reason="damaged",
        is_approved=False,
        request=asking("ret-1"),
    )
    found = after(delivered(), [fact])
    assert (found.status, found.returned("mug"), found.returns[0].status) == (
        Status.DELIVERED,
        0,
        ReturnStatus.REQUESTED,
    )
    assert found.requestable_pieces() == {"mug": 1, "pot": 1}
    assert (found.timeline[-1].status, found.timeline[-1].detail) == ("return_requested", "3 pieces, 22.50 GBP")


def test_what_was_approved_and_received_is_returned_and_waits_for_its_refund() -> None:
    found = request(delivered(), terms=TERMS, mug=1, pot=2)
    found = after(found, returns.approve_return(found, "ret-1", asking("app-1")))
    assert found.returns[0].status is ReturnStatus.APPROVED
    (fact,) = receiving(found, "1", came(mug=1, pot=2))
    assert isinstance(fact, ReturnReceived)
    assert (fact.return_id, fact.refund_id, fact.amount, fact.reason) == ("ret-1", "ref-1", pounds(2250), "damaged")
    found = after(found, [fact])
    assert (found.status, found.returned("mug"), found.returned("pot")) == (Status.DELIVERED, 1, 2)
    assert [step.status for step in found.timeline[1:]] == ["return_requested", "return_approved", "return_received"]
    assert found.timeline[-1].detail == "3 pieces, 22.50 GBP"
    assert found.returns[0].status is ReturnStatus.RECEIVED
    found = refunded(found, "1", 2250)
    assert (found.returns[0].status, found.returns[0].refunded) == (ReturnStatus.REFUNDED, pounds(2250))


def test_what_did_not_come_is_not_refunded_and_may_be_requested_again() -> None:
    found = request(delivered(), mug=2, pot=1)
    lines = [ReceivedLine(product_id="mug", quantity=1, write_off=1)]
    found = after(found, receiving(found, "1", lines))
    assert (found.returns[0].amount, found.returns[0].lines) == (pounds(1250), tuple(wanted(mug=2, pot=1)))
    assert found.returns[0].received == tuple(lines)
    assert found.requestable_pieces() == {"mug": 1, "pot": 3}
    assert request(found, "2", mug=1, pot=3)


def test_more_than_was_requested_is_not_received() -> None:
    found = request(delivered(), mug=1)
    for lines, most in ((came(mug=2), {"product_id": "mug", "quantity": 1}), (came(pot=1), None)):
        with pytest.raises(MoreThanRequested) as refused:
            receiving(found, "1", lines)
        assert refused.value.extra == {"most": [most or {"product_id": "pot", "quantity": 0}]}
    half = ReceivedLine(product_id="mug", quantity=1, restock=1)
    with pytest.raises(MoreThanRequested):
        receiving(found, "1", [half, half])
    with pytest.raises(NothingReceived):
        receiving(found, "1", came(mug=0))


def test_staff_approves_and_refuses_once_and_receives_only_what_is_approved() -> None:
    requested = request(delivered(), terms=TERMS, mug=1)
    approved = after(requested, returns.approve_return(requested, "ret-1", asking("app-1")))
    refused = after(requested, returns.refuse_return(requested, "ret-1", "It was worn.", asking("app-1")))
    cancelled = after(approved, returns.cancel_return(approved, "ret-1", asking("can-1")))
    received = after(approved, receiving(approved, "1", came(mug=1)))
    deeds: dict[str, Callable[[Order], list[Fact]]] = {
        "approve": lambda order: returns.approve_return(order, "ret-1", asking("x")),
        "refuse": lambda order: returns.refuse_return(order, "ret-1", "No.", asking("x")),
        "cancel": lambda order: returns.cancel_return(order, "ret-1", asking("x")),
        "receive": lambda order: receiving(order, "1", came(mug=1)),
    }
    possible: dict[str, tuple[Order, set[str]]] = {
        "requested": (requested, {"approve", "refuse", "cancel"}),
        "approved": (approved, {"cancel", "receive"}),
        "refused": (refused, set()),
        "cancelled": (cancelled, set()),
        "received": (received, set()),
        "refunded": (refunded(received, "1", 1250), set()),
    }
    for status, (order, right) in possible.items():
        assert order.returns[0].status == status
        for name, deed in deeds.items():
            if name in right:
                assert len(deed(order)) == 1
                continue
            with pytest.raises(ReturnNotChangeable) as problem:
                deed(order)
            assert problem.value.extra == {"return_status": status}
    with pytest.raises(ReturnNotFound):
        returns.approve_return(delivered(), "ret-1", asking("x"))
    assert isinstance(deeds["approve"](requested)[0], ReturnApproved)
    assert isinstance(deeds["refuse"](requested)[0], ReturnRefused)
    assert isinstance(deeds["cancel"](approved)[0], ReturnCancelled)


def test_what_was_refused_only_staff_requests_again_and_what_was_cancelled_everybody() -> None:
    found = request(delivered(), terms=TERMS, mug=1)
    refused = after(found, returns.refuse_return(found, "ret-1", "It was worn.", asking("app-1")))
    assert refused.returns[0].refusal == refused.timeline[-1].detail == "It was worn."
    with pytest.raises(ReturnTooLarge):
        request(refused, "2", mug=2)
    found = request(refused, "2", STAFF, mug=2)
    assert (found.returns[1].status, found.requestable_pieces()["mug"]) == (ReturnStatus.APPROVED, 0)
    cancelled = after(found, returns.cancel_return(found, "ret-2", asking("can-2")))
    assert cancelled.requestable_pieces() == {"mug": 1, "pot": 3}


def test_the_window_begins_with_the_delivery_and_binds_customers_only() -> None:
    last = NOON + timedelta(days=30) - timedelta(milliseconds=1)
    lines = wanted(mug=1)
    assert returns.request_return(delivered(), lines, "", TERMS, asking("r"), last)
    with pytest.raises(ReturnWindowClosed) as refused:
        returns.request_return(delivered(), lines, "", TERMS, asking("r"), NOON + timedelta(days=30))
    assert refused.value.extra == {"until": (NOON + timedelta(days=30)).isoformat()}
    assert returns.request_return(delivered(), lines, "", STAFF, asking("r"), NOON + timedelta(days=99))


def test_one_product_in_two_lines_is_one_line() -> None:
    (fact,) = returns.request_return(delivered(), [*wanted(pot=1), *wanted(pot=2)], "", TERMS, asking("r"), NOON)
    assert isinstance(fact, ReturnRequested)
    assert fact.lines == tuple(wanted(pot=3))
    with pytest.raises(ReturnTooLarge):
        returns.request_return(delivered(), [*wanted(pot=2), *wanted(pot=2)], "", TERMS, asking("r"), NOON)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.DELIVERED])
def test_only_what_was_delivered_comes_back(status: Status) -> None:
    with pytest.raises(OrderNotReturnable) as refused:
        request(replace(delivered(), status=status), mug=1)
    assert refused.value.extra == {"order_status": status}


def test_what_was_not_bought_does_not_come_back() -> None:
    with pytest.raises(NotInOrder) as refused:
        request(delivered(), mug=1, sofa=1, chair=1)
    assert refused.value.extra == {"product_ids": ["chair", "sofa"]}


@pytest.mark.parametrize("is_received", [True, False])
def test_no_more_comes_back_than_was_bought_over_all_returns(is_received: bool) -> None:
    found = accept(delivered(), mug=1) if is_received else request(delivered(), mug=1)
    with pytest.raises(ReturnTooLarge) as refused:
        request(found, "2", mug=2)
    assert refused.value.extra == {"returnable": [{"product_id": "mug", "quantity": 1}]}
    assert request(found, "2", mug=1)


def test_an_order_is_refunded_when_all_came_back_and_all_money_went_back() -> None:
    found = accept(accept(delivered(), mug=2), "2", pot=3)
    found = refunded(found, "2", 1500)
    assert (found.status, found.payment_status) == (Status.DELIVERED, PaymentStatus.CAPTURED)
    found = refunded(found, "1", 2500)
    assert (found.status, found.payment_status, found.refunded) == (
        Status.REFUNDED,
        PaymentStatus.REFUNDED,
        pounds(TOTAL),
    )
    assert [made.refunded for made in found.returns] == [pounds(2500), pounds(1500)]
    assert domain.deliver(found, "shp-1") == domain.ship(found, None) == []  # type: ignore[arg-type]
    assert domain.confirm(found, "pay-1") == domain.mark_needs_attention(found, "x", "y") == []


def test_money_that_went_back_otherwise_does_not_go_back_again() -> None:
    """Also when it went back after the request, which promised more."""
    found = refunded(request(delivered(), mug=2), "goodwill", 3000)
    assert found.returns[0].amount == pounds(2500)
    (fact,) = receiving(found, "1", came(mug=2))
    assert isinstance(fact, ReturnReceived)
    assert fact.amount == pounds(1000)


def test_goods_whose_money_is_all_back_come_back_for_nothing_and_nothing_is_waited_for() -> None:
    found = refunded(delivered(), "goodwill", TOTAL)
    assert found.status is Status.DELIVERED
    found = accept(found, mug=2, pot=3)
    assert (found.status, found.returns[0].amount, found.returns[0].refunded) == (
        Status.REFUNDED,
        pounds(0),
        pounds(0),
    )


def test_a_refund_smaller_than_asked_ends_the_order_too() -> None:
    """An admin refunded at the same moment, so less was left of the payment."""
    found = accept(delivered(), mug=2, pot=3)
    found = refunded(refunded(found, "goodwill", 1000), "1", 3000)
    assert (found.status, found.refunded) == (Status.REFUNDED, pounds(TOTAL))


def test_a_return_whose_money_a_bank_has_taken_back_ends_with_a_refund_of_nothing() -> None:
    order = refunded(accept(delivered(), mug=2, pot=3), "1", 0)
    assert (order.status, order.refunded, order.returns[0].refunded) == (Status.REFUNDED, pounds(0), pounds(0))


def test_a_return_whose_money_went_back_by_another_refund_says_that_it_got_none() -> None:
    found = refunded(accept(delivered(), mug=1), "goodwill", TOTAL)
    assert (found.returns[0].amount, found.returns[0].refunded) == (pounds(1250), pounds(0))
    assert found.returns[0].status is ReturnStatus.REFUNDED


def test_a_return_of_an_older_release_was_accepted_and_is_received() -> None:
    old = ReturnAccepted(
        return_id="ret-1",
        refund_id="ref-1",
        lines=tuple(wanted(mug=1)),
        amount=pounds(1250),
        reason="damaged",
        request=asking("ret-1"),
    )
    found = after(delivered(), [old])
    assert (found.returned("mug"), found.returns[0].status) == (1, ReturnStatus.RECEIVED)
    assert found.returns[0].received == tuple(came(mug=1))
    assert found.timeline[-1].status == "return_accepted"
    found = refunded(found, "1", 1250)
    assert found.returns[0].status is ReturnStatus.REFUNDED
    assert accept(found, "2", mug=1, pot=3).returned("mug") == 2


@given(
    st.lists(
        st.tuples(
            st.integers(1, 2),
            st.integers(1, 3),
            st.integers(0, 2),
            st.sampled_from(["wait", "cancel", "receive"]),
            st.booleans(),
            st.integers(0, 2000),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_comes_back_never_more_goes_back_than_was_paid(
    story: list[tuple[int, int, int, str, bool, int]],
) -> None:
    found = delivered()
    for number, (mugs, pots, missing, deed, refund_comes, goodwill) in enumerate(story):
        try:
            found = request(found, str(number), mug=mugs, pot=pots)
        except DomainError:
            continue
        if deed == "cancel":
            found = after(found, returns.cancel_return(found, f"ret-{number}", asking(f"can-{number}")))
        if deed == "receive":
            found = after(found, receiving(found, str(number), came(mug=max(0, mugs - missing), pot=pots)))
            if refund_comes and found.returns[-1].status is ReturnStatus.RECEIVED:
                found = refunded(found, str(number), found.returns[-1].amount.amount)
        given_now = min(goodwill, TOTAL - found.refunded.amount - pending(found))
        if given_now:
            found = after(found, [OrderRefunded(refund_id=f"g-{number}", amount=pounds(given_now), reason="x")])
    claimed = {name: found.returned(name) for name in ("mug", "pot")}
    for made in found.returns:
        for one in made.lines if made.status.is_open else ():
            claimed[one.product_id] += one.quantity
    assert claimed["mug"] <= 2
    assert claimed["pot"] <= 3
    assert found.refunded.amount + pending(found) <= TOTAL


def pending(order: Order) -> int:
    return sum(made.amount.amount for made in order.returns if made.status is ReturnStatus.RECEIVED)


def test_returns_one_by_one_are_bounded_and_so_is_the_order() -> None:
    found = replace(delivered(), lines=(line("mug", 2 * MAX_RETURNED_LINES, 1),), total=pounds(2 * MAX_RETURNED_LINES))
    for number in range(MAX_RETURNED_LINES):
        found = request(found, str(number), mug=1)
        if number % 2:
            found = after(found, returns.cancel_return(found, f"ret-{number}", asking(f"can-{number}")))
    assert len(found.returns) == MAX_RETURNED_LINES
    with pytest.raises(TooManyReturns) as refused:
        request(found, "one-more", mug=1)
    assert refused.value.extra == {"limit": MAX_RETURNED_LINES}


MUG, POT = (
    Charge(
        kind=Kind.GOODS,
        product_id=name,
        description=name,
        quantity=quantity,
        amount=pounds(amount),
        tax=pounds(tax),
        rate="0.2000",
        tax_class="standard",
        jurisdiction="GB",
    )
    for name, quantity, amount, tax in (("mug", 2, 2501, 417), ("pot", 3, 1000, 167))
)
OFF = MUG.model_copy(update={"kind": Kind.DISCOUNT, "amount": pounds(-100), "tax": pounds(-17)})
POSTAGE = MUG.model_copy(
    update={
        "kind": Kind.SHIPPING,
        "product_id": None,
        "quantity": 1,
        "amount": pounds(395),
        "tax": pounds(66),
        "description": "Standard",
    }
)


def quoted() -> Order:
    charges = (MUG, POT, OFF, POSTAGE)
    return replace(delivered(), frozen=charges, total=total_of(charges))


def test_a_return_takes_what_was_charged_and_says_which_parts() -> None:
    found = accept(quoted(), mug=1)
    first = found.returns[0]
    assert first.amount == pounds(1200)  # half of 25.01 less 1.00, rounded down
    assert first.charges == (MUG.model_copy(update={"quantity": 1, "amount": pounds(1200), "tax": pounds(200)}),)
    assert accept(found, "2", mug=1).returns[1].amount == pounds(1201)


def test_the_charge_for_delivery_is_refunded_with_the_last_piece_that_comes() -> None:
    found = request(accept(quoted(), mug=2, pot=1), "2", pot=2)
    assert [part.kind for part in found.returns[0].charges] == [Kind.GOODS, Kind.GOODS]
    found = after(found, receiving(found, "2", came(pot=1)))
    assert [part.kind for part in found.returns[1].charges] == [Kind.GOODS]
    found = accept(found, "3", pot=1)
    assert found.returns[2].charges[-1] == POSTAGE
    assert Money.sum((made.amount for made in found.returns), "GBP") == quoted().total


def test_an_order_without_a_quote_states_no_charges_in_its_returns() -> None:
    found = accept(delivered(), mug=2, pot=3)
    assert (found.returns[0].amount, found.returns[0].charges) == (pounds(TOTAL), ())


@given(st.permutations(["mug", "mug", "pot", "pot", "pot"]), st.lists(st.booleans(), min_size=5, max_size=5), st.data())
def test_all_returns_of_a_quoted_order_add_up_to_what_was_paid(
    pieces: list[str], together: list[bool], data: st.DataObject
) -> None:
    """In any division, whatever the order in which the goods come."""
    found, batches = quoted(), [[pieces[0]]]
    for piece, is_same in zip(pieces[1:], together, strict=False):
        if is_same:
            batches[-1].append(piece)
        else:
            batches.append([piece])
    counts = [{name: batch.count(name) for name in sorted(set(batch))} for batch in batches]
    for number, quantities in enumerate(counts):
        found = request(found, str(number), AT_ONCE, **quantities)
    for number in data.draw(st.permutations(range(len(counts)))):
        found = after(found, receiving(found, str(number), came(**counts[number])))
    parts = [part for made in found.returns for part in made.charges]
    assert Money.sum((made.amount for made in found.returns), "GBP") == found.total == total_of(parts)
    assert tax_of(parts) == tax_of(found.charges)
