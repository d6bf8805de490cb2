"""Somebody else acts just before each write of an order's way: checkout, undo, parcel and mail, one after the other."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from inventory import saga as inventory_saga
from inventory import usecases as inventory_usecases
from mercato.clock import utc_now
from mercato.errors import DomainError, TransientError
from mercato.ids import derived_id
from mercato.money import Money
from orders import saga as orders_saga
from payments import reconcile, refunds
from payments import saga as payments_saga
from payments import usecases as payments_usecases
from payments.news import News
from tests.chaos.books import disagreements
from tests.chaos.cases import Story, Tally
from tests.chaos.faults import Fault, Kind
from tests.chaos.shop import PRODUCT, QUANTITY, TOTAL, Mall, Shop

SEED = 20261122
SAMPLED = 30
SOME = Money(amount=1500, currency=TOTAL.currency)
Act = Callable[[Shop, str], object]
Way = tuple[Story, tuple[Fault, ...], bool]

# A good order, its parcel on the way at once; one whose money is refused; one whose money was taken and goes back.
WAYS: dict[str, Way] = {
    "sold": (Story.GOOD, (), True),
    "not collected": (Story.NOT_COLLECTED, (), True),
    "given back": (Story.GOOD, (Fault("CapturePayment", Kind.UNKNOWN),), False),
}


def hear_webhook(shop: Shop, order_id: str) -> None:
    told = News("webhook-1", payment_id=derived_id("payment", order_id))
    payments_usecases.observe(told, shop.payments, shop.provider, utc_now())


def reconcile_all(shop: Shop, order_id: str) -> None:
    """An hour later, when every payment that is not settled is looked after."""
    reconcile.reconcile(shop.payments, shop.provider, utc_now() + timedelta(hours=1), lambda: True)


def refund_some(shop: Shop, order_id: str) -> None:
    payment_id = derived_id("payment", order_id)
    refunds.refund(payment_id, "key-1", SOME, "damaged", shop.payments, shop.provider, utc_now())


def expire(shop: Shop, order_id: str) -> None:
    inventory_usecases.expire(order_id, shop.stock, utc_now() + timedelta(minutes=31))


def cancel(shop: Shop, order_id: str) -> None:
    shop.cancel(order_id)


def reserve_again(shop: Shop, order_id: str) -> None:
    lines = [{"product_id": PRODUCT, "quantity": QUANTITY}]
    inventory_saga.handler({"task": "ReserveInventory", "input": {"order_id": order_id, "lines": lines}}, None)


def authorize_again(shop: Shop, order_id: str) -> None:
    order = shop.orders.load(order_id)
    assert order
    asked = {"customer_id": order.customer_id, "amount": TOTAL.model_dump(), "payment_token": order.payment_token}
    payments_saga.handler({"task": "AuthorizePayment", "input": {"order_id": order_id} | asked}, None)


def capture_again(shop: Shop, order_id: str) -> None:
    """Only where the saga has come to it: nobody captures what is not confirmed."""
    if "CapturePayment" in shop.world.calls:
        payments_saga.handler({"task": "CapturePayment", "input": {"order_id": order_id}}, None)


def confirm_again(shop: Shop, order_id: str) -> None:
    if "ConfirmOrder" in shop.world.calls:
        asked = {"order_id": order_id, "payment_id": derived_id("payment", order_id)}
        orders_saga.handler({"task": "ConfirmOrder", "input": asked}, None)


ACTS: dict[str, Act] = {
    act.__name__: act
    for act in (
        hear_webhook,
        reconcile_all,
        refund_some,
        expire,
        cancel,
        reserve_again,
        authorize_again,
        capture_again,
        confirm_again,
    )
}


def play(mall: Mall, way: Way, write: int, act: Act | None) -> tuple[int, list[str]]:
    """How many writes the way has, and what the books disagree on."""
    (token, quantity), faults, eager = way[0].value, way[1], way[2]
    shop = mall.open()
    order_id = shop.place(token, quantity)
    shop.world.calls.clear()
    shop.watch.restart()
    given_back = 0

    def meddle() -> None:
        nonlocal given_back
        # What a rule refuses, or what is to be tried again later, is an answer too.
        with contextlib.suppress(DomainError, TransientError):
            assert act
            act(shop, order_id)
            given_back = SOME.amount if act is refund_some else 0

    if act:
        shop.watch.run_before(write, meddle)
    shop.run(order_id, faults, eager=eager)
    return shop.watch.writes, disagreements(shop, order_id, given_back=given_back)


def meetings(mall: Mall) -> Iterator[tuple[str, int, str]]:
    for way, found in WAYS.items():
        writes, wrong = play(mall, found, -1, None)
        assert not wrong
        for write in range(writes):
            for act in ACTS:
                yield way, write, act


def play_all(mall: Mall, name: str, chosen: list[tuple[str, int, str]], record: Callable[[str, object], None]) -> None:
    tally, failed = Tally(name), []
    for way, write, act in chosen:
        _, wrong = play(mall, WAYS[way], write, ACTS[act])
        tally.cases += 1
        tally.reached += 1
        if wrong:
            tally.failures += 1
            failed.append(f"{act} before write {write} of an order that is {way}\n    " + "\n    ".join(wrong))
    record("tally", vars(tally))
    assert not failed, f"{len(failed)} of {tally.cases} failed:\n" + "\n".join(failed[:8])


def test_meetings_a_sample(mall: Mall, record_property: Callable[[str, object], None]) -> None:
    chosen = random.Random(SEED).sample(list(meetings(mall)), SAMPLED)
    play_all(mall, "interleavings, a sample", chosen, record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(4))
def test_all_meetings(mall: Mall, record_property: Callable[[str, object], None], shard: int) -> None:
    play_all(mall, "interleavings", list(meetings(mall))[shard::4], record_property)
