"""An employee captures a part of an authorized charge on the provider's own site, before the saga captures all of it.

A part pays no order. The saga undoes the order, and payments refunds the part once. No invoice and no credit note are
issued.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mercato.ids import derived_id
from mercato.store.dynamo import update
from payments.domain import reference_of
from payments.providers.sandbox import charge_id_of
from tests.chaos.books import disagreements
from tests.chaos.cases import Outcome, Record, Story, play_all, with_each_trait
from tests.chaos.faults import Fault, faults_of
from tests.chaos.shop import TOTAL, Buyer, Mall, Shop

SEED = 20261130
PART = TOTAL.amount - 1
AUTHORIZED = ("KeepReservation", "KeepCoupon", "ConfirmOrder", "CapturePayment")  # in the order of the saga
UNDO = ("VoidPayment", "StopShipment", "RefundPayment", "ReleaseInventory", "ReleaseCoupon", "CancelOrder")


@dataclass(frozen=True)
class CapturedInPart:
    """The part is captured before the first call of `moment`."""

    moment: str
    fault: Fault | None
    eager: bool
    buyer: Buyer

    def __str__(self) -> str:
        when = "at once" if self.eager else "late"
        return f"captured before {self.moment}, {self.buyer.name}, events {when}: {self.fault or 'no fault'}"


def capture_a_part(shop: Shop, order_id: str) -> None:
    charge_id = charge_id_of(reference_of(derived_id("payment", order_id), 1))
    shop.provider.capture(charge_id, "by-hand")
    shop.tables["Payments"].write(
        update(
            f"SANDBOX#CHARGE#{charge_id}",
            "CHARGE",
            "SET amount = :part, #left = :part",
            names={"#left": "left"},
            values={":part": PART},
        )
    )


def play(mall: Mall, case: CapturedInPart) -> Outcome:
    shop = mall.open()
    order_id = shop.place(*Story.GOOD.value, buyer=case.buyer)
    shop.moments[case.moment] = functools.partial(capture_a_part, shop, order_id)
    faults = (case.fault,) if case.fault else ()
    shop.run(order_id, faults, eager=case.eager)
    shop.reconcile()
    payment = shop.payments.get(derived_id("payment", order_id))
    wrong = disagreements(shop, order_id)
    if payment is None or (payment.captured, payment.refunded) != (PART, PART):
        wrong.append(f"of {PART} that was captured, {payment and payment.refunded} was refunded")
    return shop.injector.met == set(faults), wrong


def cases() -> list[CapturedInPart]:
    """Every moment without a fault, and with each fault of each later step that the saga of such an order has."""
    found: list[tuple[str, Fault | None]] = [(moment, None) for moment in AUTHORIZED]
    for number, moment in enumerate(AUTHORIZED):
        found += [(moment, fault) for task in (*AUTHORIZED[number:], *UNDO) for fault in faults_of(task)]
    return [
        CapturedInPart(moment, fault, eager, buyer)
        for (moment, fault), eager, buyer in itertools.product(found, (True, False), Buyer)
    ]


def traits(case: CapturedInPart) -> Iterator[object]:
    yield from (case.moment, case.eager, case.buyer, case.fault and case.fault.task, case.fault and case.fault.kind)


def test_a_part_is_captured_a_sample(mall: Mall, record_property: Record) -> None:
    sample = with_each_trait(cases(), traits, SEED)
    play_all("captured in part, a sample", sample, functools.partial(play, mall), record_property)


@pytest.mark.long
@pytest.mark.parametrize("shard", range(2))
def test_a_part_is_captured_at_any_moment(mall: Mall, record_property: Record, shard: int) -> None:
    play_all("captured in part", cases()[shard::2], functools.partial(play, mall), record_property)
