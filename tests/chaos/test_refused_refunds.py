"""A provider that refuses refunds: temporarily, and an operator retries; or permanently, and an operator skips.

The reconciler runs at the same time. In every case the money is refunded once, by the shop or by hand.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from mercato.money import Money
from orders.order import Status
from payments import agreement
from payments.providers.port import Provider, ProviderDeclined
from payments.refund import RefundStatus
from shipping import saga as shipping_saga
from tests.chaos import deeds
from tests.chaos.books import disagreements
from tests.chaos.cases import Outcome, Record, Story, play_all
from tests.chaos.deeds import FIRST, Scene
from tests.chaos.faults import SKIP, Fault, Kind, faults_of
from tests.chaos.shop import CUSTOMER, QUANTITY, TOTAL, Mall, Shop
from tests.kit import aws_events

FOR_GOOD = 1000
SHARDS = 2


class RefusingProvider:
    """Refuses the refunds of the first `times` idempotency keys permanently, and accepts all others."""

    def __init__(self, provider: Provider, times: int) -> None:
        self._provider = provider
        self.times = times
        self.refused: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._provider, name)

    def refund(self, charge_id: str, amount: Money, key: str) -> None:
        if key not in self.refused and len(self.refused) < self.times:
            self.refused.append(key)
        if key in self.refused:
            raise ProviderDeclined("balance_insufficient", "There is not enough money on the account.")
        self._provider.refund(charge_id, amount, key)


@dataclass(frozen=True)
class Refused:
    """With `cancelled`, the customer cancels the paid order; otherwise the saga undoes its capture."""

    times: int
    cancelled: bool
    skips: bool
    fault: Fault | None = None

    def __str__(self) -> str:
        way = "cancelled" if self.cancelled else "undone"
        return (
            f"{way}, refused {self.times} times, {'skipped' if self.skips else 'retried'}; {self.fault or 'no fault'}"
        )


def cancel_before_the_parcel_leaves(shop: Shop, order_id: str) -> None:
    """Cancels during the capture. The capture succeeds nevertheless, and the cancellation refunds it."""
    shop.cancel(order_id)
    stop = {"order_id": order_id, "customer_id": CUSTOMER}
    shipping_saga.handler(aws_events.task("StopShipment", stop), None)


def play(mall: Mall, case: Refused) -> Outcome:
    shop = mall.open()
    order_id = shop.place(*Story.GOOD.value)
    provider = RefusingProvider(shop.provider, case.times)
    shop.unreliable(provider)
    shop.skips = case.skips
    faults = (case.fault,) if case.fault else ()
    if case.cancelled:
        shop.moments["CapturePayment"] = lambda: cancel_before_the_parcel_leaves(shop, order_id)
    else:
        faults = (Fault("CapturePayment", Kind.UNKNOWN), *faults)
    rung: list[int] = []
    shop.moments["MarkNeedsAttention"] = lambda: rung.append(shop.reconcile().left)
    shop.run(order_id, faults, eager=False)
    provider.times = 0  # from now on the provider accepts every refund
    rung += [shop.reconcile().left, shop.reconcile().left]
    wrong = disagreements(shop, order_id)
    if any(rung):
        wrong.append(f"the reconciler counts what was refused as its own work: {rung}")
    if (shop.by_hand > 0) is not case.skips:
        wrong.append(f"the operator gave back {shop.by_hand}")
    return shop.injector.met == set(faults), wrong


def cases() -> list[Refused]:
    """All cases. A lasting fault parks the refund once by itself, so it is combined with one refusal at most."""
    retried = [
        Refused(times, cancelled, skips=False, fault=fault)
        for times, cancelled in itertools.product((1, 2), (True, False))
        for fault in (None, *faults_of("RefundPayment"))
        if times == 1 or fault is None or not fault.is_final
    ]
    skipped = [
        Refused(FOR_GOOD, cancelled, skips=True, fault=fault)
        for cancelled in (True, False)
        for fault in (None, *faults_of("RefundPayment"), *faults_of(SKIP))
    ]
    return retried + skipped


def test_refused_refunds_a_sample(mall: Mall, record_property: Record) -> None:
    play_all("refused refunds, a sample", cases()[::7], lambda case: play(mall, case), record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_refused_refunds(mall: Mall, record_property: Record, shard: int) -> None:
    play_all("refused refunds", cases()[shard::SHARDS], lambda case: play(mall, case), record_property)


def delivered(mall: Mall, times: int) -> tuple[Shop, Scene]:
    shop, order_id = mall.open_delivered()
    shop.unreliable(RefusingProvider(shop.provider, times))
    return shop, Scene(shop, order_id)


def redrive_until_paid(shop: Shop) -> int:
    """Redrives until no dead letter is left. Returns the number of redrives."""
    for redrives in itertools.count():
        if not shop.bus.dead:
            return redrives
        shop.bus.redrive()
    raise AssertionError


# Each event is delivered twice, and each delivery is an attempt.
@pytest.mark.parametrize(("times", "redriven"), [(2, 1), (4, 2)])
def test_a_return_whose_refund_was_refused_is_paid_by_a_redrive_and_then_the_rest_is_returned(
    mall: Mall, times: int, redriven: int
) -> None:
    shop, scene = delivered(mall, times)
    deeds.send_back(scene, "return-1", 1)
    shop.bus.deliver()
    assert set(shop.bus.dead) == {"payments: order.return_received: The payment provider refused this refund."}
    order = shop.orders.load(scene.order_id)
    assert order
    assert (order.refunded.amount, [made.refunded for made in order.returns]) == (0, [None])

    assert redrive_until_paid(shop) == redriven
    order = shop.orders.load(scene.order_id)
    assert order
    assert (order.status, order.refunded.amount) == (Status.DELIVERED, FIRST)
    assert [made.refunded.amount if made.refunded else None for made in order.returns] == [FIRST]

    deeds.send_back(scene, "return-2", QUANTITY - 1)
    shop.bus.deliver()
    shop.bus.deliver_again()
    order = shop.orders.load(scene.order_id)
    assert order
    assert (order.status, order.refunded) == (Status.REFUNDED, TOTAL)
    assert shop.reconcile().left == 0
    assert disagreements(shop, scene.order_id, given_back=TOTAL.amount, came_back=QUANTITY) == []


def test_what_an_admin_gave_back_by_hand_for_a_refused_return_is_set_aside_once_more(mall: Mall) -> None:
    """The runbook warns of this: the shop does not know that an admin's refund was meant for the return."""
    shop, scene = delivered(mall, FOR_GOOD)
    deeds.send_back(scene, "return-1", 1)
    shop.bus.deliver()
    shop.unreliable(shop.provider)
    deeds.refund(scene, "for return 1, by hand", Money(amount=FIRST, currency=TOTAL.currency))
    shop.bus.deliver()
    deeds.send_back(scene, "return-2", QUANTITY - 1)
    shop.bus.deliver()
    order = shop.orders.load(scene.order_id)
    assert order
    assert (order.status, order.refunded.amount) == (Status.DELIVERED, TOTAL.amount - FIRST)
    payment = shop.payments.get(scene.payment_id)
    assert payment
    assert (payment.refundable, agreement.mismatch(payment)) == (FIRST, "")
    refused = [made for made in shop.payments.refunds(scene.payment_id) if made.status is RefundStatus.REFUSED]
    assert [made.amount.amount for made in refused] == [FIRST]
    deeds.refund(scene, "the rest, by hand", Money(amount=FIRST, currency=TOTAL.currency))
    shop.bus.redrive()
    shop.bus.deliver()
    payment, order = shop.payments.get(scene.payment_id), shop.orders.load(scene.order_id)
    assert payment
    assert order
    assert (payment.refunded, order.refunded, order.status, shop.bus.dead) == (TOTAL.amount, TOTAL, Status.REFUNDED, [])
