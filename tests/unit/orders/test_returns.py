"""Returns: what may be returned, and how much is refunded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.charges import Charge, Kind, tax_of, total_of
from mercato.errors import DomainError
from mercato.money import Money
from orders import domain, returns
from orders.facts import Fact, OrderRefunded, ReturnAccepted
from orders.order import Order, PaymentStatus, Request, ReturnedLine, Status
from orders.returns import MAX_RETURNED_LINES, NotInOrder, OrderNotReturnable, ReturnTooLarge, TooManyReturns
from tests.unit.orders.test_domain import after, line, placed, pounds

TOTAL = 4000  # two mugs at 12.50, three pots at 5.00


def delivered() -> Order:
    lines = (line("mug", 2, 1250), line("pot", 3, 500))
    return replace(
        placed(), lines=lines, total=pounds(TOTAL), status=Status.DELIVERED, payment_status=PaymentStatus.CAPTURED
    )


def wanted(**quantities: int) -> list[ReturnedLine]:
    return [ReturnedLine(product_id=product_id, quantity=quantity) for product_id, quantity in quantities.items()]


def accept(order: Order, name: str = "1", **quantities: int) -> list[Fact]:
    request = Request(id=f"ret-{name}", fingerprint=f"print-{name}")
    return returns.accept_return(order, wanted(**quantities), "damaged", f"ref-{name}", request)


def refunded(order: Order, name: str, amount: int) -> Order:
    return after(order, domain.refund(order, f"ref-{name}", pounds(amount), "return"))


def test_some_pieces_of_some_lines_come_back_for_their_price() -> None:
    (fact,) = accept(delivered(), mug=1, pot=2)
    assert isinstance(fact, ReturnAccepted)
    assert (fact.return_id, fact.refund_id, fact.amount) == ("ret-1", "ref-1", pounds(2250))
    assert fact.lines == tuple(wanted(mug=1, pot=2))
    found = after(delivered(), [fact])
    assert (found.status, found.returned("mug"), found.returned("pot")) == (Status.DELIVERED, 1, 2)
    assert (found.timeline[-1].status, found.timeline[-1].detail) == ("return_accepted", "3 pieces, 22.50 GBP")


def test_one_product_in_two_lines_is_one_line() -> None:
    request = Request(id="r", fingerprint="f")
    (fact,) = returns.accept_return(delivered(), [*wanted(pot=1), *wanted(pot=2)], "", "ref", request)
    assert isinstance(fact, ReturnAccepted)
    assert fact.lines == tuple(wanted(pot=3))
    with pytest.raises(ReturnTooLarge):
        returns.accept_return(delivered(), [*wanted(pot=2), *wanted(pot=2)], "", "ref", request)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.DELIVERED])
def test_only_what_was_delivered_comes_back(status: Status) -> None:
    with pytest.raises(OrderNotReturnable) as refused:
        accept(replace(delivered(), status=status), mug=1)
    assert refused.value.extra == {"order_status": status}


def test_what_was_not_bought_does_not_come_back() -> None:
    with pytest.raises(NotInOrder) as refused:
        accept(delivered(), mug=1, sofa=1, chair=1)
    assert refused.value.extra == {"product_ids": ["chair", "sofa"]}


def test_no_more_comes_back_than_was_bought_over_all_returns() -> None:
    found = after(delivered(), accept(delivered(), mug=1))
    with pytest.raises(ReturnTooLarge) as refused:
        accept(found, "2", mug=2)
    assert refused.value.extra == {"returnable": [{"product_id": "mug", "quantity": 1}]}
    assert accept(found, "2", mug=1)


def test_an_order_is_refunded_when_all_came_back_and_all_money_went_back() -> None:
    found = after(delivered(), accept(delivered(), mug=2))
    found = after(found, accept(found, "2", pot=3))
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
    found = refunded(delivered(), "goodwill", 3000)
    (fact,) = accept(found, mug=2)
    assert isinstance(fact, ReturnAccepted)
    assert fact.amount == pounds(1000)


def test_goods_whose_money_is_all_back_come_back_for_nothing_and_nothing_is_waited_for() -> None:
    found = refunded(delivered(), "goodwill", TOTAL)
    assert found.status is Status.DELIVERED
    found = after(found, accept(found, mug=2, pot=3))
    assert (found.status, found.returns[0].amount, found.returns[0].refunded) == (
        Status.REFUNDED,
        pounds(0),
        pounds(0),
    )


def test_a_refund_smaller_than_asked_ends_the_order_too() -> None:
    """An admin refunded at the same moment, so less was left of the payment."""
    found = after(delivered(), accept(delivered(), mug=2, pot=3))
    found = refunded(refunded(found, "goodwill", 1000), "1", 3000)
    assert (found.status, found.refunded) == (Status.REFUNDED, pounds(TOTAL))


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.integers(0, 2000)), min_size=1, max_size=8
    )
)
def test_whatever_comes_back_never_more_goes_back_than_was_paid(story: list[tuple[int, int, bool, int]]) -> None:
    found, paid_back = delivered(), Money.zero("GBP")
    for number, (mugs, pots, refund_comes, goodwill) in enumerate(story):
        try:
            facts = accept(found, str(number), mug=mugs, pot=pots)
        except DomainError:
            continue
        found = after(found, facts)
        (fact,) = facts
        assert isinstance(fact, ReturnAccepted)
        if refund_comes and fact.amount.amount:
            paid_back += fact.amount
            found = refunded(found, str(number), fact.amount.amount)
        spare = TOTAL - found.refunded.amount - sum(m.amount.amount for m in found.returns if m.refunded is None)
        given_now = min(goodwill, spare)
        if given_now:
            found = after(found, [OrderRefunded(refund_id=f"g-{number}", amount=pounds(given_now), reason="x")])
    assert found.returned("mug") <= 2
    assert found.returned("pot") <= 3
    assert found.refunded.amount + sum(m.amount.amount for m in found.returns if m.refunded is None) <= TOTAL


def test_returns_one_by_one_are_bounded_and_so_is_the_order() -> None:
    found = replace(delivered(), lines=(line("mug", 2 * MAX_RETURNED_LINES, 1),), total=pounds(2 * MAX_RETURNED_LINES))
    for number in range(MAX_RETURNED_LINES):
        found = after(found, accept(found, str(number), mug=1))
    assert found.returned("mug") == len(found.returns) == MAX_RETURNED_LINES
    with pytest.raises(TooManyReturns) as refused:
        accept(found, "one-more", mug=1)
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
    (fact,) = accept(quoted(), mug=1)
    assert isinstance(fact, ReturnAccepted)
    assert fact.amount == pounds(1200)  # half of 25.01 less 1.00, rounded down
    assert fact.charges == (MUG.model_copy(update={"quantity": 1, "amount": pounds(1200), "tax": pounds(200)}),)
    found = after(quoted(), [fact])
    assert found.returns[0].charges == fact.charges
    (rest,) = accept(found, "2", mug=1)
    assert isinstance(rest, ReturnAccepted)
    assert rest.amount == pounds(1201)


def test_the_charge_for_delivery_is_refunded_with_the_last_piece_only() -> None:
    (fact,) = accept(quoted(), mug=2, pot=2)
    assert isinstance(fact, ReturnAccepted)
    assert [part.kind for part in fact.charges] == [Kind.GOODS, Kind.GOODS]
    (last,) = accept(after(quoted(), [fact]), "2", pot=1)
    assert isinstance(last, ReturnAccepted)
    assert last.charges[-1] == POSTAGE
    assert fact.amount + last.amount == quoted().total


def test_an_order_without_a_quote_states_no_charges_in_its_returns() -> None:
    (fact,) = accept(delivered(), mug=2, pot=3)
    assert isinstance(fact, ReturnAccepted)
    assert (fact.amount, fact.charges) == (pounds(TOTAL), ())


@given(st.permutations(["mug", "mug", "pot", "pot", "pot"]), st.lists(st.booleans(), min_size=5, max_size=5))
def test_all_returns_of_a_quoted_order_add_up_to_what_was_paid(pieces: list[str], together: list[bool]) -> None:
    found, batches = quoted(), [[pieces[0]]]
    for piece, is_same in zip(pieces[1:], together, strict=False):
        if is_same:
            batches[-1].append(piece)
        else:
            batches.append([piece])
    for number, batch in enumerate(batches):
        found = after(found, accept(found, str(number), **{name: batch.count(name) for name in set(batch)}))
    parts = [part for made in found.returns for part in made.charges]
    assert Money.sum((made.amount for made in found.returns), "GBP") == found.total == total_of(parts)
    assert tax_of(parts) == tax_of(found.charges)
