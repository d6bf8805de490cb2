"""The saga with the real handlers of an order that waits for its buyer."""

from __future__ import annotations

from typing import Any

import pytest

from inventory.reservation import State
from inventory.store import InventoryStore
from mercato.clock import utc_now
from mercato.errors import Conflict
from mercato.ids import derived_id
from mercato.money import Money
from orders import domain, usecases
from orders import wiring as orders_wiring
from orders.order import Address, Line, Order, Request, Status
from orders.store import OrderStore
from orders.workflow import WaitingSagas, saga_input
from payments.domain import reference_of
from payments.providers.sandbox import Sandbox, charge_id_of
from payments.store import PaymentStore
from tests.kit.state_machine import ORDER, World, poll

PAYMENT = derived_id("payment", ORDER)


@pytest.fixture
def shop(world: World, orders: OrderStore, mugs: InventoryStore, payments: PaymentStore) -> tuple[World, OrderStore]:
    vars(orders_wiring.ports()).update(sagas=WaitingSagas())
    return world, orders


def place(orders: OrderStore, token: str) -> Order:
    price = Money(amount=1500, currency="GBP")
    lines = (Line(product_id="mug", sku="MUG", name="Mug", quantity=3, unit_price=price),)
    address = Address(name="Ada", line1="12 Square", city="London", postcode="SW1Y", country="GB")
    facts = domain.let_wait(domain.place(ORDER, "cust-1", lines, token, "print"))
    return orders.place(ORDER, facts, address, utc_now())


def found(orders: OrderStore) -> Order:
    order = orders.load(ORDER)
    assert order is not None
    return order


def waiting(orders: OrderStore, *, after: str = "") -> Order:
    def look() -> Order | None:
        order = found(orders)
        wait = orders.find_wait(ORDER, utc_now())
        is_new = wait is not None and wait.place > after
        return order if is_new and order.awaited and not order.awaited.is_answered else None

    return poll(look, 30)


def place_of(orders: OrderStore) -> str:
    wait = orders.find_wait(ORDER, utc_now())
    return wait.place if wait else ""


def pay(orders: OrderStore, token: str | None, key: str = "k-1", customer: str = "cust-1") -> Order:
    command = usecases.Command(ORDER, customer, Request(id=key, fingerprint=str(token)))
    order = usecases.pay_again(command, token, orders, utc_now()).order
    usecases.wake_saga(ORDER, orders=orders, sagas=WaitingSagas(), now=utc_now())
    return order


def charges(payments: PaymentStore) -> list[str]:
    sandbox = Sandbox(payments._table)
    found = [sandbox.find(charge_id_of(reference_of(PAYMENT, number))) for number in range(1, 6)]
    return [charge.status.value for charge in found if charge]


def test_a_declined_card_and_then_a_good_one_is_a_confirmed_order(
    shop: tuple[World, OrderStore], payments: PaymentStore
) -> None:
    world, orders = shop
    execution = world.start(saga_input(place(orders, "tok_declined")))
    asked = waiting(orders)
    assert asked.awaited is not None
    assert (asked.awaited.state, asked.awaited.detail) == ("declined", "Your bank declined the card.")
    pay(orders, "tok_ok")
    assert world.finish(execution)["status"] == "SUCCEEDED"
    assert (found(orders).status, found(orders).attempt, found(orders).awaited) == (Status.CONFIRMED, 2, None)
    assert charges(payments) == ["declined", "captured"]


def test_a_buyer_who_confirms_at_the_bank_is_charged_once(
    shop: tuple[World, OrderStore], payments: PaymentStore
) -> None:
    world, orders = shop
    execution = world.start(saga_input(place(orders, "tok_confirm_ok")))
    order = waiting(orders)
    action = usecases.find_action(order, orders=orders, now=utc_now())
    assert action is not None
    assert action.url == f"/bank/{charge_id_of(PAYMENT)}"
    before = place_of(orders)
    pay(orders, None, "too soon")
    assert waiting(orders, after=before).awaited is not None
    Sandbox(payments._table).answer(charge_id_of(PAYMENT), is_confirmed=True)
    pay(orders, None)
    assert world.finish(execution)["status"] == "SUCCEEDED"
    assert charges(payments) == ["captured"]


@pytest.mark.parametrize(("token", "held"), [("tok_declined", "declined"), ("tok_confirm_never", "voided")])
def test_a_buyer_who_does_not_answer_has_no_order_and_the_stock_is_free(
    shop: tuple[World, OrderStore], payments: PaymentStore, mugs: InventoryStore, token: str, held: str
) -> None:
    world, orders = shop
    execution = world.start(saga_input(place(orders, token)))
    waiting(orders)
    world.times_out.set()
    ended = world.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "PaymentNotCompleted")
    assert (found(orders).status, found(orders).reason) == (Status.CANCELLED, "payment-not-completed")
    assert charges(payments) == [held]
    reservation = mugs.reservation(ORDER)
    assert reservation is not None
    assert reservation.state is State.RELEASED
    with pytest.raises(domain.PaymentTooLate):
        pay(orders, "tok_ok", "late")


def test_a_cancellation_wakes_the_saga_and_it_undoes(shop: tuple[World, OrderStore], payments: PaymentStore) -> None:
    world, orders = shop
    execution = world.start(saga_input(place(orders, "tok_confirm_ok")))
    waiting(orders)
    command = usecases.Command(ORDER, "cust-1", Request(id="c-1", fingerprint="x"))
    usecases.cancel_order(command, "other", orders, utc_now())
    usecases.wake_saga(ORDER, orders=orders, sagas=WaitingSagas(), now=utc_now())
    assert world.finish(execution)["error"] == "OrderNotConfirmable"
    assert (found(orders).status, charges(payments)) == (Status.CANCELLED, ["voided"])


def test_an_answer_sent_twice_and_after_the_time_is_no_error(shop: tuple[World, OrderStore]) -> None:
    world, orders = shop
    execution = world.start(saga_input(place(orders, "tok_declined")))
    waiting(orders)
    wait = orders.find_wait(ORDER, utc_now())
    assert wait is not None
    pay(orders, "tok_ok")
    for _ in range(2):
        WaitingSagas().answer(wait.task_token, found(orders))
    assert world.finish(execution)["status"] == "SUCCEEDED"
    WaitingSagas().answer(wait.task_token, found(orders))
    WaitingSagas().answer("no-token", found(orders))


@pytest.mark.parametrize("is_before", [True, False])
def test_the_providers_answer_before_the_saga_waits_is_not_lost(
    shop: tuple[World, OrderStore], payments: PaymentStore, is_before: bool
) -> None:
    """The bank decides after the attempt's answer and before the question, or between the question and the wait."""
    world, orders = shop
    handler = world.handlers["OrdersSaga"]
    done: list[bool] = []

    def decide(payload: dict[str, Any]) -> Any:
        if payload["task"] == ("AskBuyer" if is_before else "AwaitBuyer") and not done:
            done.append(True)
            sandbox = Sandbox(payments._table)
            sandbox.answer(charge_id_of(PAYMENT), is_confirmed=True)
            version = payload["input"]["payment"]["version"] + 1
            usecases.hear_of_payment(ORDER, version, orders=orders, sagas=WaitingSagas(), now=utc_now())
        return handler(payload)

    world.handlers["OrdersSaga"] = decide
    assert world.run(saga_input(place(orders, "tok_confirm_ok")))["status"] == "SUCCEEDED"
    assert charges(payments) == ["captured"]


def test_the_wait_ends_in_time_to_keep_the_reservation(shop: tuple[World, OrderStore], mugs: InventoryStore) -> None:
    world, orders = shop
    execution = world.start(saga_input(place(orders, "tok_declined")))
    order = waiting(orders)
    reservation = mugs.reservation(ORDER)
    assert reservation is not None
    assert order.awaited is not None
    assert reservation.expires_at is not None
    assert reservation.expires_at - order.awaited.until == domain.TO_KEEP
    pay(orders, "tok_ok")
    world.finish(execution)


@pytest.mark.parametrize(
    ("token", "customer", "error"),
    [
        (None, "cust-1", domain.NothingToConfirm),
        ("tok_ok", "another", domain.OrderNotFound),
    ],
)
def test_an_answer_that_fits_nothing_is_refused_and_changes_nothing(
    shop: tuple[World, OrderStore], token: str | None, customer: str, error: type[Conflict]
) -> None:
    world, orders = shop
    execution = world.start(saga_input(place(orders, "tok_declined")))
    before = waiting(orders)
    with pytest.raises(error):
        pay(orders, token, customer=customer)
    assert found(orders) == before
    pay(orders, "tok_ok")
    with pytest.raises((domain.PaymentUnderWay, domain.OrderAlreadyPaid)):
        pay(orders, "tok_ok", "k-2")
    world.finish(execution)
    with pytest.raises(domain.OrderAlreadyPaid):
        pay(orders, "tok_ok", "k-3")
