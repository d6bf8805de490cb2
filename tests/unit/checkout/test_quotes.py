"""Quotes: what is signed comes back, what is forged does not, and each difference is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout import quotes
from checkout.domain import Discount, Offer, Session
from checkout.quotes import Difference, InvalidQuote, Quote, differences
from checkout.taxes import FIRST, TaxTable
from mercato.charges import refund_of, total_of
from mercato.money import Money
from tests.unit.checkout.sessions import World, listing, pounds, session

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECRET = "a secret of the checkout that is long enough"


def quote(world: World, found: Session | None = None) -> Quote:
    found = found or session()
    return Quote.of(found, world.price(found), NOON)


def test_a_quote_is_read_as_it_was_signed() -> None:
    made = quote(World(discounts=[Discount("mug", "AUTUMN", 100)]))
    assert quotes.read(quotes.sign(made, SECRET), SECRET) == made
    assert made.expires_at == NOON + timedelta(minutes=15)


def test_an_expired_quote_is_read_too_since_its_order_may_exist() -> None:
    made = replace(quote(World()), expires_at=NOON - timedelta(days=1))
    assert quotes.read(quotes.sign(made, SECRET), SECRET).expires_at < NOON


def forged(token: str, **changes: object) -> str:
    """The token with other claims, and the signature of the old ones."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))) | changes
    return ".".join((head, base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode(), signature))


def test_a_forged_quote_is_refused() -> None:
    token = quotes.sign(quote(World()), SECRET)
    claims = jwt.decode(token, options={"verify_signature": False})
    bad = [
        "",
        "x.y.z",
        token[:-2],
        forged(token, sub="eve"),
        jwt.encode(claims, SECRET + "!", algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims | {"aud": "other"}, SECRET, algorithm="HS256"),
        jwt.encode({"aud": "orders", "iss": "checkout"}, SECRET, algorithm="HS256"),
    ]
    for one in bad:
        with pytest.raises(InvalidQuote):
            quotes.read(one, SECRET)


def test_nothing_has_moved_and_nothing_differs() -> None:
    world = World()
    assert differences(quote(world), session(), world.price(session())) == []


def test_another_name_of_a_product_is_no_difference() -> None:
    world = World()
    made = quote(world)
    world.listings["mug"] = replace(world.listings["mug"], name="A cup")
    assert differences(made, session(), world.price(session())) == []


def test_a_change_of_the_customer_whose_coupon_uses_count_is_a_difference() -> None:
    """The quote has checked the coupons' limits for its own customer alone."""
    world = World(discounts=[Discount("mug", "AUTUMN", 100)])
    made, priced = quote(world), world.price(session())
    assert differences(made, session(), priced) == []
    [found] = differences(made, session(), replace(priced, customer="email:another"))
    assert (found.what, found.was) == ("total", found.is_now)


def dearer(world: World) -> None:
    world.listings["mug"] = listing("mug", 1300)


def gone(world: World) -> None:
    world.listings.pop("mug", None)


def scarce(world: World) -> None:
    world.listings["mug"] = listing("mug", 1250, available=1)


def taxed_higher(world: World) -> None:
    raised = [one.model_copy(update={"rate": "0.2500"}) if one.rate == "0.2000" else one for one in FIRST.rates]
    world.taxes = TaxTable(version=1, rates=tuple(raised))


def untaxed(world: World) -> None:
    world.taxes = TaxTable(version=1, rates=())


def slower(world: World) -> None:
    world.offers[0] = Offer("sandbox", "standard", "Standard", pounds(495), 9)


def no_express(world: World) -> None:
    world.offers = world.offers[1:]


def cheaper(world: World) -> None:
    world.discounts.append(Discount("pot", "AUTUMN", 100))


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (dearer, [Difference("price", pounds(1250), pounds(1300), "mug")]),
        (gone, [Difference("product", 2, None, "mug")]),
        (scarce, [Difference("stock", 2, 1, "mug")]),
        (taxed_higher, [Difference("tax", "0.2000", "0.2500", name) for name in ("mug", "pot", None)]),
        (
            untaxed,
            [
                Difference(
                    "no-tax-rate",
                    None,
                    "There is no tax rate for delivery and standard goods in GB, so we cannot sell them there.",
                ),
                Difference("shipping", pounds(395), None),
            ],
        ),
        (slower, [Difference("days", 3, 9), Difference("shipping", pounds(395), pounds(495))]),
        (
            no_express,
            [
                Difference(
                    "service-not-offered", None, "standard delivery is not offered for this; please choose another."
                ),
                Difference("shipping", pounds(395), None),
            ],
        ),
        (cheaper, [Difference("discount", None, pounds(-100))]),
    ],
)
def test_a_move_is_told_as_it_was_and_as_it_is(move: Callable[[World], None], expected: list[Difference]) -> None:
    world = World()
    made = quote(world)
    move(world)
    assert differences(made, session(), world.price(session())) == expected


def test_every_move_is_told() -> None:
    world = World()
    made = quote(world)
    for move in (dearer, slower, cheaper):
        move(world)
    later = replace(session(), version=4)
    found = [one.what for one in differences(made, later, world.price(later))]
    assert found == ["checkout", "price", "days", "shipping", "discount"]


def test_a_session_that_has_expired_is_a_difference() -> None:
    assert differences(quote(World()), None, None) == [Difference("checkout", 1, None)]


MOVES = st.sampled_from([dearer, gone, scarce, taxed_higher, untaxed, slower, no_express, cheaper])


@given(
    st.lists(
        st.tuples(st.sampled_from(["mug", "pot"]), st.integers(1, 30)),
        min_size=1,
        max_size=2,
        unique_by=lambda one: one[0],
    ),
    st.integers(1, 10**6),
    st.lists(MOVES, max_size=3),
    st.sampled_from(["standard", "express"]),
)
def test_shown_is_charged_is_refundable_and_what_moved_is_never_placed(
    lines: list[tuple[str, int]], mugs: int, moves: list[Callable[[World], None]], service: str
) -> None:
    """The heart of the checkout: a quote without a difference costs exactly what it says, to the last refund."""
    world = World(discounts=[Discount("pot", "AUTUMN", 7)])
    world.listings["mug"] = listing("mug", mugs)
    found = session(*lines, service=service)
    shown = quotes.read(quotes.sign(Quote.of(found, world.price(found), NOON), SECRET), SECRET)
    for move in moves:
        move(world)
    now = world.price(found)
    if differences(shown, found, now):
        assert (now.charges, now.is_whole) != (shown.charges, True)
        return
    assert now.is_whole
    assert now.charges == shown.charges
    refunds: list[Money] = [
        refund_of(shown.charges, name, piece, piece + 1).amount for name, count in lines for piece in range(count)
    ]
    delivery = [one.amount for one in shown.charges if one.product_id is None]
    assert Money.sum([*refunds, *delivery], "GBP") == total_of(shown.charges)
