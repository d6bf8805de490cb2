"""The reconciler finishes unfinished payments and reports mismatches."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import pytest

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.ids import derived_id
from mercato.money import Money
from mercato.telemetry import metrics
from payments import consumers, reconciler, usecases, wiring
from payments.domain import Intent, PaymentVoided
from payments.providers.sandbox import charge_id_of
from payments.providers.webhooks import ChargeChanged
from payments.refund import RefundRefused
from tests.integration.payments.till import Till
from tests.kit import aws_events
from tests.kit.given import published

PAYMENT = derived_id("payment", "o-1")
EVERY_HALF = pytest.mark.parametrize("after_effect", [False, True])


def hear(kind: str, order_id: str = "o-1") -> None:
    record = aws_events.bus_record(published(kind, order_id, {"order_id": order_id}), "shop-payments")
    assert consumers.handler(aws_events.records(record), None) == {"batchItemFailures": []}


def run(minutes: int = 10, has_time: bool = True) -> dict[str, int]:
    """Runs the reconciler this much later."""
    now = utc_now() + timedelta(minutes=minutes)
    return vars(reconciler.reconcile(wiring.ports(), now, lambda: has_time))


def told() -> list[str]:
    """What an operator would see in an hour."""
    return [found.kind for found in reconciler.mismatches(wiring.ports().payments, utc_now() + timedelta(hours=1))]


def sold(till: Till) -> None:
    till.authorize()
    hear("order.confirmed")
    till.capture()


def test_an_order_that_went_well_leaves_nothing_to_reconcile(till: Till) -> None:
    sold(till)
    assert list(wiring.ports().payments.unsettled(utc_now() + timedelta(days=1))) == []
    till.refund(300)
    till.refund(700, key="k-2")
    assert list(wiring.ports().payments.unsettled(utc_now() + timedelta(days=1))) == []
    assert run() == {"asked": 0, "repaired": 0, "left": 0, "mismatches": 0}


def test_a_payment_of_the_last_two_minutes_is_left_to_its_saga(till: Till) -> None:
    till.authorize()
    assert run(minutes=1)["asked"] == 0
    assert run(minutes=3)["asked"] == 1


def test_an_authorization_that_nobody_heard_of_is_found(till: Till) -> None:
    with pytest.raises(TransientError):
        till.authorize("tok_timeout_once")
    assert run() == {"asked": 1, "repaired": 1, "left": 0, "mismatches": 0}
    assert (till.status(), till.heard()) == ("authorized", ["payment.authorized"])


def test_a_capture_that_nobody_heard_of_is_found_and_announced_once(till: Till) -> None:
    till.authorize()
    hear("order.confirmed")
    till.provider.capture(charge_id_of(PAYMENT), derived_id("o-1", "capture"))
    assert [run()["repaired"], run()["repaired"]] == [1, 0]
    till.capture()
    assert (till.money(), told()) == ((1000, 0), [])
    assert till.heard() == ["payment.authorized", "payment.completed"]


@EVERY_HALF
@pytest.mark.parametrize("at", range(5))
def test_a_refund_that_died_is_finished_once(till: Till, faults: Any, at: int, after_effect: bool) -> None:
    """Its writes: the key's lease, the claim, the provider's refund, the end, the key's response."""
    sold(till)
    faults.arm(at, after_effect=after_effect)
    till.refund(300)
    faults.arm(-1)
    run()
    run()
    is_known = at > 1 or (at, after_effect) == (1, True)
    assert till.money() == ((1000, 300) if is_known else (1000, 0))
    assert till.heard().count("payment.refunded") == int(is_known)
    assert till.refund(300)[0] == 201
    assert (till.money(), told()) == ((1000, 300), [])


@EVERY_HALF
@pytest.mark.parametrize("at", range(1, 4))
def test_a_void_that_died_is_finished(till: Till, faults: Any, at: int, after_effect: bool) -> None:
    """Its writes after the read: the closing, the provider's void, the end."""
    till.authorize()
    faults.arm(at, after_effect=after_effect)
    with pytest.raises(TransientError):
        till.task("VoidPayment")
    faults.arm(-1)
    run()
    is_begun = (at, after_effect) != (1, False)
    assert (till.status(), till.held()) == (("voided", "voided") if is_begun else ("authorized", "authorized"))
    hear("order.cancelled")
    run()
    assert (till.status(), till.held(), told()) == ("voided", "voided", [])


@EVERY_HALF
@pytest.mark.parametrize("at", range(3))
def test_a_run_that_dies_is_finished_by_the_next(till: Till, faults: Any, at: int, after_effect: bool) -> None:
    sold(till)
    faults.arm(2)
    assert till.refund(300)[0] == 503
    faults.arm(at, after_effect=after_effect)
    run()
    faults.arm(-1)
    run()
    assert (till.money(), told()) == ((1000, 300), [])
    assert till.heard().count("payment.refunded") == 1


@pytest.mark.parametrize("at", range(3))
def test_a_run_in_the_middle_of_a_refund_gives_back_once(till: Till, faults: Any, at: int) -> None:
    sold(till)
    faults.arm(at, meanwhile=run)
    assert till.refund(300)[0] == 201
    assert (till.money(), till.heard().count("payment.refunded"), told()) == ((1000, 300), 1, [])


@pytest.mark.parametrize("at", range(3))
def test_a_run_in_the_middle_of_an_authorize_charges_once(till: Till, faults: Any, at: int) -> None:
    faults.arm(at, meanwhile=run)
    till.authorize()
    assert (till.status(), till.held(), till.heard()) == ("authorized", "authorized", ["payment.authorized"])


@pytest.mark.parametrize("at", range(4))
def test_a_run_in_the_middle_of_an_undo_lets_go_once(till: Till, faults: Any, at: int) -> None:
    till.authorize()
    faults.arm(at, meanwhile=run)
    till.task("VoidPayment")
    assert (till.status(), till.held()) == ("voided", "voided")
    with pytest.raises(PaymentVoided):
        till.authorize()


def test_one_refund_that_the_provider_refuses_stops_no_other_payment(till: Till) -> None:
    till.authorize("tok_refund_declined")
    till.capture()
    with pytest.raises(RefundRefused):
        till.task("RefundPayment")
    money = {"amount": 1000, "currency": "GBP"}
    for number in range(9):  # payments before and after it, in any shard
        order = {"order_id": f"other-{number}", "customer_id": "u-1", "amount": money}
        with pytest.raises(TransientError):
            till.task("AuthorizePayment", payment_token="tok_timeout_once", **order)
    found = run(minutes=60)
    assert (found["repaired"], found["left"], found["mismatches"]) == (9, 0, 1)
    assert "undo-unfinished" in told()


def test_a_provider_that_is_away_is_asked_again_in_the_next_run(
    till: Till, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    till.authorize()

    def away(*_: Any) -> None:
        raise TransientError("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(till.provider), "find", away)
        assert run() == {"asked": 0, "repaired": 0, "left": 1, "mismatches": 0}
    assert run(has_time=False)["left"] == 1
    assert run()["asked"] == 1


def test_what_has_not_moved_for_a_day_is_asked_once_an_hour(till: Till) -> None:
    till.authorize()
    asked = [run(minutes=2 * 24 * 60 + 5 * number) for number in range(12)]
    assert sum(found["asked"] for found in asked) == 1
    assert [found["mismatches"] for found in asked] == [1] * 12


def test_an_order_that_is_confirmed_and_not_paid_is_told(till: Till) -> None:
    till.authorize()
    hear("order.confirmed")
    assert run(minutes=60)["mismatches"] == 1
    assert told() == ["order-not-paid"]
    till.capture()
    assert told() == []


def test_a_payment_whose_order_is_never_heard_of_is_told(till: Till) -> None:
    till.paid()
    assert told() == ["payment-without-order"]
    hear("order.confirmed")
    assert told() == []


def test_an_order_that_is_confirmed_without_any_payment_is_told(till: Till) -> None:
    hear("order.confirmed")
    hear("order.confirmed")
    assert told() == ["order-without-payment"]
    hear("order.cancelled")
    hear("order.confirmed")
    assert told() == []


def test_money_kept_for_a_cancelled_order_is_told_and_given_back_by_hand_only(till: Till) -> None:
    sold(till)
    hear("order.cancelled")
    run(minutes=60)
    assert (till.money(), told()) == ((1000, 0), ["payment-of-cancelled-order"])
    assert till.refund(1000)[0] == 201
    assert told() == []


def test_a_cancelled_order_without_a_payment_is_as_it_should_be(till: Till) -> None:
    hear("order.cancelled")
    assert (till.status(), told()) == (None, [])


def test_money_given_back_past_us_is_told_and_no_more_than_the_rest_is_given_back(till: Till) -> None:
    till.authorize()
    till.capture()
    till.provider.refund(charge_id_of(PAYMENT), Money(amount=200, currency="GBP"), "by hand")
    run()
    assert told() == ["refunded-elsewhere"]
    assert till.refund(900)[0] == 409


@pytest.mark.parametrize("way", ["voided", "given back"])
def test_a_stray_charge_is_told_until_its_money_is_gone(till: Till, way: str) -> None:
    asked = Intent(charge_id_of("pay-lost"), "pay-lost", Money(amount=700, currency="GBP"))
    charge = till.provider.authorize(asked, "tok_ok", "key-a")
    wiring.ports().payments.park(charge, utc_now())
    wiring.ports().payments.park(charge, utc_now())
    assert run()["asked"] == 1
    assert told() == ["charge-without-payment"]
    if way == "voided":
        till.provider.void(charge.charge_id, "key-v")
    else:
        till.provider.capture(charge.charge_id, "key-c")
        till.provider.refund(charge.charge_id, Money(amount=699, currency="GBP"), "by hand")
        run()
        assert told() == ["charge-without-payment"]
        till.provider.refund(charge.charge_id, Money(amount=1, currency="GBP"), "the rest by hand")
    run()
    assert told() == []


def test_what_waits_for_staff_names_the_order_as_people_say_it(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASK_AFTER", "PATIENCE"):
        monkeypatch.setattr(reconciler, name, timedelta(seconds=-1))
    saga_input = {"order_id": "o-1", "number": "K7QF2-M9X40", "payment_token": "tok_ok"}
    about = {"customer_id": "u-1", "amount": {"amount": 1000, "currency": "GBP"}, "payment_token": "tok_ok"}
    till.task("AuthorizePayment", order=saga_input, **about)
    till.capture()
    till.provider.dispute(charge_id_of(PAYMENT), "dp-1", 400)
    usecases.observe(ChargeChanged("evt-1", payment_id=PAYMENT, is_dispute=True), wiring.ports(), utc_now())
    found = till.call("GET", "/payments/mismatches")[1]
    assert [one["order_number"] for one in (*found["items"], *found["disputed"])] == ["K7QF2-M9X40"] * 2
    assert till.call("GET", f"/payments/{PAYMENT}")[1]["order_number"] == "K7QF2-M9X40"


def test_an_admin_is_shown_the_mismatches_and_nobody_else_is(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.paid()
    monkeypatch.setattr(reconciler, "PATIENCE", timedelta(seconds=-1))
    status, shown = till.call("GET", "/payments/mismatches")
    (item,) = shown.pop("items")
    assert (status, shown) == (200, {"more": False, "disputed": []})
    assert item.pop("since")
    assert item.pop("order_number") is None
    assert item == {
        "kind": "payment-without-order",
        "payment_id": PAYMENT,
        "order_id": "o-1",
        "charge_id": charge_id_of(PAYMENT),
        "amount": {"amount": 1000, "currency": "GBP"},
    }
    assert till.call("GET", "/payments/mismatches", role="customer")[0] == 403


def test_a_run_counts_what_it_found_also_where_that_is_nothing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm for a reconciler that does not run is the missing metric."""
    counted: dict[str, int] = {}
    monkeypatch.setattr(metrics, "count", lambda metric, times: counted.update({metric: times}))
    till.paid()
    assert reconciler.handler({"id": "c-12345678"}, None) == {"asked": 0, "repaired": 0, "left": 0, "mismatches": 0}
    assert counted == {"PaymentMismatches": 0, "PaymentsLeft": 0}


def test_an_undo_after_money_was_given_back_past_us_gives_back_the_rest(till: Till) -> None:
    sold(till)
    till.provider.refund(charge_id_of(PAYMENT), Money(amount=200, currency="GBP"), "by hand")
    till.task("RefundPayment")
    charge = till.table.get(f"SANDBOX#CHARGE#{charge_id_of(PAYMENT)}", "CHARGE")
    assert charge is not None
    assert charge["left"] == 0
    assert till.status() == "refunded"
    assert [data["amount"]["amount"] for kind, data in till.events() if kind == "payment.refunded"] == [800]
    hear("order.cancelled")
    assert told() == ["refunded-elsewhere"]


class Killed(BaseException):
    """Lambda ended the process."""


def opened(till: Till, count: int) -> list[str]:
    """Opens this many payments about which the provider must be asked, in the order in which a run finds them."""
    for number in range(count):
        about = {"order_id": f"o-{number}", "customer_id": "u-1", "payment_token": "tok_ok"}
        till.task("AuthorizePayment", amount={"amount": 1000, "currency": "GBP"}, **about)
    return [payment_id(found) for found in wiring.ports().payments.unsettled(utc_now() + timedelta(minutes=10))]


def payment_id(found: Any) -> str:
    return str(found.what.payment_id)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The payments about which runs have asked the provider. None of them is settled."""
    found: list[str] = []

    def bring_on(one: Any, *_: Any) -> Any:
        found.append(payment_id(one))
        return one

    monkeypatch.setattr(reconciler, "_advance", bring_on)
    return found


def test_a_run_goes_on_behind_the_payment_that_the_last_one_began(till: Till, asked: list[str]) -> None:
    """Each run has time for three of eight, and none of them leaves the list."""
    payments = opened(till, 8)
    for _ in range(3):
        has_time = functools.partial(next, iter([True] * 3), False)
        now = utc_now() + timedelta(minutes=10)
        reconciler.reconcile(wiring.ports(), now, has_time)
    assert asked == (payments * 2)[:9]


def test_a_payment_that_kills_each_run_does_not_keep_the_others_from_being_asked_about(
    till: Till, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = opened(till, 4)
    bring_on = reconciler._advance

    def die(one: Any, *how: Any) -> Any:
        if payment_id(one) == payments[0]:
            raise Killed
        return bring_on(one, *how)

    monkeypatch.setattr(reconciler, "_advance", die)
    for _ in range(2):
        with pytest.raises(Killed):
            run()
    assert asked == payments[1:]


def test_a_run_asks_about_each_payment_once_wherever_it_begins(till: Till, asked: list[str]) -> None:
    payments = opened(till, 5)
    for found in wiring.ports().payments.unsettled(utc_now() + timedelta(minutes=10)):
        wiring.ports().payments.begin_turn(found)
        asked.clear()
        run()
        assert sorted(asked) == sorted(payments)
