"""Codes from the checkout to the last refund: what was shown is charged, and what is charged can be given back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from checkout import quotes
from checkout.domain import NOTHING_ENTERED, Evaluated, Found, Session, change
from checkout.peers import Promotions
from checkout.pricing import Priced, Terms, price
from checkout.quotes import Quote, differences
from checkout.taxes import Rounding, TableOfRates
from mercato.charges import Kind as ChargeKind
from mercato.charges import tax_of, total_of
from mercato.money import Money
from mercato.peers.transport import Answer
from orders import domain as orders
from orders import returns
from orders.facts import OrderConfirmed, OrderDelivered, OrderRefunded, OrderShipped, apply
from orders.order import Line, Order, ReceivedLine, Request, ReturnedLine, Status
from promotions.domain import Coupon, Kind, Standing, customer_of, evaluate
from promotions.views import CodesToEvaluate, EvaluationView
from tests.unit.checkout.sessions import TODAY, World, listing, pounds, session

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECRET = "a secret of the checkout that is long enough"
TERMS = returns.Terms(timedelta(days=30), returns.Approval.AUTOMATIC)
CODES = ("PART", "SUM", "POST")


@dataclass
class Shop(World):
    """The world of a checkout, with coupons by the rules of promotions."""

    coupons: dict[str, Coupon] = field(default_factory=dict)

    def send(self, _method: str, _path: str, asked: Any, headers: dict[str, str], *, safe: bool) -> Answer:
        body = CodesToEvaluate.model_validate_json(json.dumps(asked))
        known = {code: Standing(coupon) for code, coupon in self.coupons.items()}
        found = evaluate(body.codes, known, body.basket(), NOON)
        view = EvaluationView.of(customer_of(headers["X-User-Id"], None), found)
        return Answer(200, {}, view.model_dump_json().encode())

    def price(self, found: Session) -> Priced:
        answers = Promotions(self)  # type: ignore[arg-type]
        evaluated = answers.evaluate(found, self.listings, NOTHING_ENTERED) if found.codes else Evaluated()
        return price(
            found, Found(self.listings, tuple(self.offers), evaluated), TableOfRates(self.taxes), self.terms, TODAY
        )


def delivered(shown: Quote, priced: Priced) -> Order:
    lines = tuple(
        Line(product_id=one.product_id, sku=one.sku, name=one.name, quantity=one.quantity, unit_price=one.unit_price)
        for one in priced.lines
    )
    facts: list[Any] = orders.place_quoted("ord-1", "ada", orders.Quoted(lines, shown.charges), "tok_ok", "print")
    facts += [OrderConfirmed(payment_id="pay-1"), OrderShipped(shipment_id="s", carrier="c", tracking_number="t")]
    order: Order | None = None
    for fact in [*facts, OrderDelivered(shipment_id="s")]:
        order = apply(order, fact, NOON)
    assert order is not None
    return order


def all_returned(order: Order, portions: list[int]) -> Order:
    """Every piece comes back, in returns of these sizes, and each return is refunded before the next one."""
    pieces = [line.product_id for line in order.lines for _ in range(line.quantity)]
    number = 0
    while pieces:
        size = portions[number % len(portions)]
        back, pieces = pieces[:size], pieces[size:]
        lines = [ReturnedLine(product_id=one, quantity=1) for one in back]
        asked, came = (Request(id=f"{what}-{number}", fingerprint="print") for what in ("return", "receipt"))
        for fact in returns.request_return(order, lines, "damaged", TERMS, asked, NOON):
            order = apply(order, fact, NOON)
        received = [ReceivedLine(product_id=one, quantity=1, restock=1) for one in back]
        for fact in returns.receive_return(order, asked.id, received, f"refund-{number}", came):
            order = apply(order, fact, NOON)
        made = order.returns[-1]
        assert made.amount == total_of(made.charges) >= pounds(0)  # the frozen parts, never less
        if made.amount.amount:
            order = apply(order, OrderRefunded(refund_id=made.refund_id, amount=made.amount, reason="returned"), NOON)
        number += 1
    return order


EDITS = st.sampled_from(
    [{"codes": some} for some in ((), CODES, ("SUM",), ("PART", "POST"), ("POST",))]
    + [{"service": name} for name in ("standard", "express")]
)


def ended(shop: Shop) -> None:
    shop.coupons["PART"] = replace(shop.coupons["PART"], ended_at=NOON)


def halved(shop: Shop) -> None:
    half = max(1, (shop.coupons["PART"].basis_points or 2) // 2)
    shop.coupons["PART"] = replace(shop.coupons["PART"], basis_points=half, version=2)


def late(shop: Shop) -> None:
    shop.coupons["SUM"] = replace(shop.coupons["SUM"], valid_until=NOON - timedelta(seconds=1))


def with_two_codes(mug: int, first: int, second: int, terms: Terms) -> Priced:
    """A mug at that price, from which two codes take those amounts."""
    shop = Shop(terms=terms)
    shop.listings["mug"] = listing("mug", mug)
    for code, amount in (("FIRST", first), ("SECOND", second)):
        shop.coupons[code] = Coupon(
            code, "Less", Kind.AMOUNT, NOON, amount=pounds(amount), product_ids=("mug",), combines=True
        )
    return shop.price(replace(session(("mug", 1), ("pot", 1)), codes=("FIRST", "SECOND")))


@given(
    st.integers(1, 5000),
    st.integers(1, 2500),
    st.integers(1, 5000),
    st.tuples(st.booleans(), st.sampled_from(Rounding)),
)
@example(506, 253, 253, (False, Rounding.LINE))
def test_two_codes_leave_no_product_that_costs_less_than_nothing(
    mug: int, first: int, second: int, terms: tuple[bool, Rounding]
) -> None:
    priced = with_two_codes(mug, first, second, Terms(*terms))
    parts = [one for one in priced.charges if one.product_id == "mug"]
    amount, tax = total_of(parts).amount, tax_of(parts).amount
    assert 0 <= tax <= amount
    left = max(0, mug - first - second)
    assert (amount == 0) == (left == 0)
    if terms[1] is Rounding.LINE and not left:
        assert tax == 0


def test_what_two_codes_make_free_is_returned_without_a_refund() -> None:
    priced = with_two_codes(506, 253, 253, Terms(inclusive=False))
    found = replace(session(("mug", 1), ("pot", 1)), codes=("FIRST", "SECOND"))
    order = delivered(Quote.of(found, priced, NOON), priced)
    asked = Request(id="return-1", fingerprint="print")
    lines = [ReturnedLine(product_id="mug", quantity=1)]
    (fact,) = returns.request_return(order, lines, "damaged", TERMS, asked, NOON)
    assert apply(order, fact, NOON).returns[-1].amount == pounds(0)


def test_an_order_that_was_placed_with_a_product_below_nothing_refunds_nothing_for_it() -> None:
    """Earlier releases rounded each discount for itself."""
    priced = with_two_codes(506, 253, 253, Terms(inclusive=False))
    below = [
        one.model_copy(update={"amount": one.amount - pounds(1), "tax": one.tax - pounds(1)})
        if one.description.startswith("SECOND")
        else one
        for one in priced.charges
    ]
    found = replace(session(("mug", 1), ("pot", 1)), codes=("FIRST", "SECOND"))
    before = replace(priced, charges=tuple(below))
    order = delivered(Quote.of(found, before, NOON), before)
    asked, came = (Request(id=what, fingerprint="print") for what in ("return-1", "receipt-1"))
    for fact in returns.request_return(
        order, [ReturnedLine(product_id="mug", quantity=1)], "damaged", TERMS, asked, NOON
    ):
        order = apply(order, fact, NOON)
    for fact in returns.receive_return(
        order, "return-1", [ReceivedLine(product_id="mug", quantity=1, restock=1)], "refund-1", came
    ):
        order = apply(order, fact, NOON)
    assert (order.returns[-1].amount, order.returns[-1].status) == (pounds(0), "refunded")


def dearer(shop: Shop) -> None:
    shop.listings["mug"] = listing("mug", shop.listings["mug"].price.amount + 1)


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.integers(1, 10**5),
    st.tuples(st.integers(1, 10_000), st.integers(1, 20_000), st.sampled_from([(), ("mug",)])),
    st.tuples(st.booleans(), st.sampled_from(Rounding)),
    st.lists(EDITS, min_size=1, max_size=4),
    st.lists(st.sampled_from([ended, halved, late, dearer]), max_size=2),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
)
def test_shown_is_charged_is_refundable_with_discounts_over_random_edits(
    counts: tuple[int, int],
    mug: int,
    coupons: tuple[int, int, tuple[str, ...]],
    terms: tuple[bool, Rounding],
    edits: list[dict[str, Any]],
    moves: list[Callable[[Shop], None]],
    portions: list[int],
) -> None:
    points, amount, products = coupons
    shop = Shop(terms=Terms(*terms))
    shop.listings["mug"] = listing("mug", mug)
    each = [
        Coupon("PART", "Part", Kind.PERCENTAGE, NOON, basis_points=points, product_ids=products, combines=True),
        Coupon("SUM", "Sum", Kind.AMOUNT, NOON, amount=pounds(amount), combines=True),
        Coupon("POST", "Post", Kind.FREE_SHIPPING, NOON, combines=True),
    ]
    shop.coupons = {one.code: one for one in each}
    found = session(("mug", counts[0]), ("pot", counts[1]))
    for edit in edits:
        found = change(found, found.version, edit)
    before = shop.price(found)
    if not before.is_whole:
        return
    shown = quotes.read(quotes.sign(Quote.of(found, before, NOON), SECRET), SECRET)
    assert {one.code for one in shown.coupons} <= set(found.codes)
    discounts = [one for one in shown.charges if one.kind is ChargeKind.DISCOUNT]
    assert bool(shown.coupons) == bool(discounts)
    for move in moves:
        move(shop)
    now = shop.price(found)
    told = differences(shown, found, now)
    if told:
        assert (now.charges, now.is_whole) != (shown.charges, True)
        return
    assert now.charges == shown.charges == before.charges
    order = delivered(shown, before)
    assert order.total == total_of(shown.charges) >= pounds(1)
    back = all_returned(order, portions)
    assert back.refunded == order.total
    assert back.status is Status.REFUNDED
    assert Money.sum((made.amount for made in back.returns), "GBP") == order.total
